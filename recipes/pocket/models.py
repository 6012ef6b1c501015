"""The architectures of pocket's parts, in one place."""

from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    CLIPVisionConfig,
)

from recipes.pocket.tokenizer import LENGTH

WIDTH = 192  # text states
PROJECTION = 256  # the judge's space: the first half tells subjects, the second half scenes
LATENTS = 5  # three of colour, two of detail: what 4 x 4 pixels need most


def vae() -> AutoencoderKL:
    """4x down to 5 channels: sharp after minutes of training, where 8x down stays soft for hours. No attention, so that it is fast on a CPU."""
    return AutoencoderKL(
        in_channels=3, out_channels=3, latent_channels=LATENTS, sample_size=128, norm_num_groups=4, layers_per_block=1,
        block_out_channels=(16, 32, 64), mid_block_add_attention=False,
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
    )  # fmt: skip


def text_config(tokenizer: CLIPTokenizer) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_hidden_layers=3, num_attention_heads=3,
        max_position_embeddings=LENGTH, projection_dim=PROJECTION, hidden_act="quick_gelu", bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip


def text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    return CLIPTextModel(text_config(tokenizer))


def judge(tokenizer: CLIPTokenizer) -> CLIPModel:
    vision = CLIPVisionConfig(
        hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_hidden_layers=4, num_attention_heads=3, image_size=128, patch_size=16,
        projection_dim=PROJECTION, hidden_act="quick_gelu",
    )  # fmt: skip
    return CLIPModel(
        CLIPConfig(
            text_config=text_config(tokenizer).to_dict(),
            vision_config=vision.to_dict(),
            projection_dim=PROJECTION,
        )
    )


def unet() -> UNet2DConditionModel:
    """Attention at 16, 8 and 4 (in-context generation works through self-attention); 32 x 32 has convolutions alone."""
    return UNet2DConditionModel(
        sample_size=32, in_channels=LATENTS, out_channels=LATENTS, layers_per_block=1, block_out_channels=(32, 48, 96, 192), norm_num_groups=16,
        down_block_types=("DownBlock2D", *("CrossAttnDownBlock2D",) * 3), up_block_types=(*("CrossAttnUpBlock2D",) * 3, "UpBlock2D"),
        cross_attention_dim=WIDTH, attention_head_dim=(2, 2, 4, 8),  # diffusers' name for the number of heads
    )  # fmt: skip


def scheduler() -> DDIMScheduler:
    return DDIMScheduler(
        num_train_timesteps=1000, beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.02, prediction_type="v_prediction",
        clip_sample=False, set_alpha_to_one=False, steps_offset=1, timestep_spacing="trailing",
    )  # fmt: skip
