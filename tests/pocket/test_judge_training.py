"""What the judge's training adds to an ordinary CLIP loss."""

from types import SimpleNamespace

import torch
from torch.nn import functional as F

from recipes.pocket.models import PROJECTION
from recipes.pocket.muon import Muon
from recipes.pocket.train_judge import HALF, Contrast, SomePatches, _optimisers


class _Tower(torch.nn.Module):
    """A picture's mean colour, as an image embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = torch.nn.Linear(3, PROJECTION)
        self.layer = torch.nn.Linear(3, PROJECTION, bias=False)

    def get_image_features(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return self.layer(pixel_values.mean((2, 3)))


def test_half_of_the_patches_keep_the_class_token_and_no_patch_twice() -> None:
    states = torch.arange(17.0).view(1, 17, 1).expand(3, 17, 4)
    hook = SomePatches()
    assert hook(torch.nn.Identity(), (), states) is states
    hook.share = 0.5
    found = hook(torch.nn.Identity(), (), states)
    assert found.shape == (3, 9, 4)
    assert (found[:, 0] == 0).all()
    patches = found[:, 1:, 0]
    assert all(len(set(row.tolist())) == 8 for row in patches) and patches.min() > 0
    assert (found == found[..., :1]).all()


def test_a_subject_begins_where_its_pictures_are_seen() -> None:
    torch.manual_seed(0)
    contrast = Contrast(_Tower(), torch.zeros(2, 4), torch.tensor([0, 1]), subjects=3)
    before = contrast.proxies.detach().clone()
    bank = torch.randint(0, 255, (6, 3, 8, 8), dtype=torch.uint8)
    subject = torch.tensor([0, 0, 1, 1, 1, 0])
    contrast.know(bank, subject)
    seen = contrast.model.get_image_features(bank / 127.5 - 1)[:, :HALF]
    mean = F.normalize(F.normalize(seen, dim=-1)[subject == 1].mean(0), dim=-1)
    assert torch.allclose(contrast.proxies[1], mean, atol=1e-5)
    assert torch.equal(contrast.proxies[2], before[2])  # never shown


def test_matrices_are_muons_and_ends_adamws() -> None:
    model = _Tower()
    beside = SimpleNamespace(
        scale=torch.nn.Parameter(torch.zeros(1)), proxies=torch.nn.Parameter(torch.zeros(2, 2))
    )
    muon, adam = _optimisers(model, beside)  # type: ignore[arg-type]
    assert [p.shape for g in muon.param_groups for p in g["params"]] == [model.layer.weight.shape]
    assert sum(len(g["params"]) for g in adam.param_groups) == 4


def test_muon_leaves_alone_what_this_step_did_not_use() -> None:
    used, idle = (torch.nn.Parameter(torch.ones(4, 6)) for _ in range(2))
    used.grad = torch.randn(4, 6)
    Muon([used, idle], lr=0.1, weight_decay=0.5).step()
    assert torch.equal(idle, torch.ones(4, 6))
    assert not torch.equal(used, torch.ones(4, 6))
