"""Stage 1, `data`: fetch the registry packages and cut them into subjects and photographs.

    python -m recipes.pocket.sources --work WORK

Everything comes from Debian (`apt-get download`, `dpkg -x`) and npm (`npm pack`); nothing is installed. Writes
WORK/world/{sprites/*.webp, photos/*.jpg, subjects.json}. Sources and licences: recipes/pocket/README.md.
"""

import argparse
import json
import re
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image

from recipes.pocket.photographed import photographed

DEBIAN = (
    "tuxpaint-stamps-default", "plasma-workspace-wallpapers", "lomiri-wallpapers-16.04", "lomiri-wallpapers-20.04",
    "mate-backgrounds", "gnome-backgrounds", "gcompris-qt-data", "wamerican",
)  # fmt: skip
NPM = ("@lobehub/fluent-emoji-3d@1.1.0", "unicode-emoji-json@0.9.0")
SPRITE = 128
PHOTO = 448


@dataclass(frozen=True)
class Subject:
    """One thing that can stand in a scene: what it is called, its class noun, how it was drawn."""

    id: str
    name: str
    noun: str
    style: str  # photo | cartoon | render
    held_out: bool = False


# --- the class nouns people teach: a subject whose name matches the pattern answers to the noun as well -----------
NOUNS: tuple[tuple[str, str], ...] = (
    ("cat", r"\bcat\b"), ("dog", r"\b(dog|poodle|dingo)\b"), ("horse", r"\bhorse\b"), ("teddy bear", r"\b(teddy|edward) bear\b"),
    ("bear", r"\bbear\b"), ("bird", r"\b(bird|blackbird|bluebird|crow|pigeon|dove|lark|magpie|gull|seagull|rosella|lorikeet|cuckoo|parrot|toucan|owl|eagle|heron|quetzal)\b"),
    ("duck", r"\b(duck|drake)\b"), ("chicken", r"\b(chicken|hen|rooster|chick)\b"), ("penguin", r"\bpenguin\b"),
    ("fish", r"\b(fish|\w+fish|trout|wrasse|groper)\b"), ("rabbit", r"\b(rabbit|bunny)\b"), ("sheep", r"\b(sheep|lamb|ewe|ram)\b"),
    ("cow", r"\b(cow|ox|bull|yak|zebu|bison)\b"), ("pig", r"\b(pig|boar)\b"), ("deer", r"\b(deer|doe|wapiti|caribou|moose)\b"),
    ("monkey", r"\b(monkey|chimpanzee|tamarin|gorilla|orangutan)\b"), ("lion", r"\blion\b"), ("tiger", r"\btiger\b"),
    ("toy", r"\b(toy|rag doll|rubber duck|yo-yo|dolls?|puzzle|kite|dreidel|teddy|nesting)\b"), ("backpack", r"\bbackpack\b"),
    ("bag", r"\b(backpack|handbag|purse|bags?|luggage|briefcase)\b"), ("boot", r"\bboot\b"),
    ("sneaker", r"\b(running shoe|sneaker)\b"), ("shoe", r"\b(shoe|sneaker|boot|sandal)\b"), ("glasses", r"\b(glasses|sunglasses|goggles)\b"),
    ("teapot", r"\b(teapot|kettle)\b"), ("vase", r"\b(vase|amphora|urn)\b"), ("bowl", r"\b(bowl|salad|cooked rice|curry)\b"),
    ("cup", r"\b(mug|cup|teacup)\b"), ("can", r"\b(can|canned food)\b"), ("candle", r"\bcandle\b"),
    ("clock", r"\b(clock|alarm|watch)\b"), ("car", r"\b(car|automobile|taxi|beetle car|sedan|suv|utility vehicle)\b"),
    ("truck", r"\b(truck|lorry|dumper)\b"), ("bus", r"\b(bus|minibus|trolleybus)\b"), ("train", r"\b(train|locomotive|tram|metro)\b"),
    ("boat", r"\b(boat|ship|sailboat|canoe|ferry|tugboat|junk|speedboat)\b"), ("airplane", r"\bairplane\b"), ("bicycle", r"\bbicycle\b"),
    ("chair", r"\b(chair|seat|wheelchair)\b"),
    ("flower", r"\b(flower|rose|daffodil|marigold|iris|petunia|gazania|anemone|hibiscus|sunflower|tulip|lotus|blossom|lavender|hyacinth|bouquet|pigface|anthurium)\b"),
    ("tree", r"\b(tree|oak|birch|palm)\b"), ("mushroom", r"\b(mushroom|cep)\b"), ("hat", r"\b(hat|fedora|sombrero|cap|helmet)\b"),
    ("bottle", r"\b(bottle|jar)\b"), ("apple", r"\bapple\b"), ("orange", r"\borange\b"), ("cake", r"\bcake\b"), ("ball", r"\b(ball|basketball|football|baseball|volleyball|softball)\b"),
    ("guitar", r"\bguitar\b"), ("book", r"\bbook\b"), ("house", r"\b(house|cottage|home)\b"), ("castle", r"\b(castle|fort|fortress)\b"),
    ("camera", r"\bcamera\b"), ("shirt", r"\b(shirt|t-shirt)\b"), ("dinosaur", r"\b(dinosaur|sauropod|t-rex)\b"),
)  # fmt: skip

# --- captions that need a hand: file stem or caption -> name ("" drops the subject) -------------------------------
RENAMED: dict[str, str] = {
    "beetle": "beetle", "edward_bear": "teddy bear", "teddy_bear": "teddy bear", "grannysmith": "rag doll", "rubberduck": "rubber duck",
    "garbagecan": "garbage can", "broccoli": "broccoli", "sedan": "sedan car", "sportscar2": "sports car", "truck": "pickup truck",
    "747": "airplane", "plane": "airplane", "eddieCopter": "helicopter", "balloon360": "hot air balloon", "chineseJunk": "sailing ship",
    "walnutBoat": "walnut sailboat", "tugboat": "tugboat", "bathyscape": "submarine", "terex": "dump truck", "cementMixer": "cement truck",
    "towTruck": "tow truck", "dumper": "dump truck", "fire_engine": "fire truck", "indycar": "race car", "toy_train": "toy train",
    "tux": "penguin", "pengwin": "penguin", "dinosaurSings": "dinosaur", "iguana": "iguana", "lionfish": "lionfish", "bluegroper": "blue fish",
    "lobster": "lobster", "rhino_black": "rhinoceros", "hippopotamus": "hippopotamus", "sheep_lamb": "lamb", "gnu-baby": "gnu", "gnu-baby-stand": "gnu",
    "gnu-sitting": "gnu", "gnu-stand": "gnu", "albino_peahen": "white peacock", "nandou": "rhea", "peacock": "peacock", "european-bear": "brown bear",
    "pig_golden": "brown pig", "pig_golden2": "brown pig", "rabbit-2": "rabbit", "stripedfish": "striped fish", "wildboar": "wild boars",
    "capybara": "capybara", "kangaroo": "kangaroo", "t_baseballcap": "baseball cap", "propeller_hat": "propeller hat", "tophat": "top hat",
    "mountaingoat": "mountain goat", "adelaide-rosella": "rosella bird", "silver-gull": "gull", "helmeted_guineafowl": "guinea fowl",
    "apple_sierra_beauty": "red apple", "apple_fuji": "red apple", "apple_granny_smith": "green apple", "orange_seville": "orange",
    "Cherry_Stella": "cherries", "pattypan_squash": "squash", "redlettuce": "red lettuce", "mandarine": "tangerine", "Strawberry2": "strawberry",
    "yellowpepper": "yellow pepper", "pepper": "bell pepper", "chilepepper": "chili pepper", "pumpkin_small": "pumpkin", "pink_cake": "pink cake",
    "birthday_cake": "birthday cake", "pressure_cooker": "cooking pot", "pasta_pot": "cooking pot", "pitcher_small": "pitcher", "kettle": "kettle",
    "home_compost_bin": "compost bin", "wheelie_bin": "green bin", "usps_mailbox": "blue mailbox", "uk_post_box": "red mailbox", "eiffel_tower": "Eiffel tower",
    "fairytale_castle": "castle", "swisshome": "wooden house", "pinkhome": "pink house", "cityhouse": "house", "wooden_cottage": "wooden cottage",
    "tree336": "tree", "holm_oak": "oak tree", "liberia-palm": "palm tree", "birch": "birch tree", "cep-1": "brown mushroom", "cep-2": "brown mushroom",
    "cep": "brown mushroom", "whitestar-petunia": "petunia flower", "red-gazania": "red gazania flower", "anthoorium": "red anthurium flower",
    "appooppanthady": "white flower", "chemparathi": "red hibiscus flower", "adeenia": "pink flower", "bolsom": "pink flower", "iris": "iris flower",
    "guitar_electric_bass": "bass guitar", "guitar2": "guitar", "guitar_classical": "guitar", "drum_tomtom_floor": "drum", "cymbal_crash": "cymbal",
    "camera_35mm": "camera", "binoculars": "binoculars", "spacewalk": "astronaut", "0_sun": "sun", "6_saturn": "planet saturn", "3_earth": "planet earth",
    "4_mars": "planet mars", "5_jupiter": "planet jupiter", "2_venus": "planet venus", "7_uranus": "", "9_pluto": "", "1_mercury": "planet mercury",
    "8_neptune": "blue planet", "moon_crescent": "crescent moon", "moon_3qt": "", "moon_full": "full moon", "holiday_candle": "candle", "candle": "candle",
    "chick-in-egg": "chick", "chick-hatched": "chick", "bunny-head": "bunny", "bunny": "bunny", "bunny-egg": "bunny", "blackcat": "black cat",
    "Santa": "santa claus", "German_Christmas_toy": "wooden toy", "Christmas_Tree_photo": "christmas tree", "tree": "christmas tree", "star": "star",
    "Roast_turkey": "roast turkey", "Christmas_pudding": "christmas pudding", "snowman": "snowman", "santahat": "santa hat", "football": "american football",
    "soccer": "soccer ball", "basketball": "basketball", "tennis_ball": "tennis ball", "volleyball": "volleyball", "trophy_cup": "trophy",
    "football_helmet_front": "football helmet", "football_helmet_side": "football helmet", "carriage": "passenger carriage", "tanker": "tank wagon",
    "boxcar": "boxcar", "tender": "", "tux_tractor": "tractor", "penguin_with_spider": "", "trainSign": "", "sedan_police": "", "firetruck": "fire truck",
    "garbagetruck": "garbage truck", "pink_tricycle": "pink tricycle", "green_korean_bus": "green bus", "double_decker_bus": "red double decker bus",
    "magic_stones": "", "graveyard": "", "wings": "", "cave_entrance": "", "mine": "", "ruins": "", "docks": "", "wrapped_chocolate_easter_egg": "chocolate egg",
    "wrapped_chocolate_easter_egg_2": "chocolate egg", "xmas_tp_bulb": "christmas ornament", "xmaswreath": "christmas wreath", "lamp": "christmas light",
    "hornet": "hornet", "hoverfly": "fly", "spider_football": "spider", "spider_computer": "spider", "spider_fly": "", "snail": "snail", "snail2": "snail",
    "cylinder": "", "german": "", "inukshuk-outline": "", "final-roll-call": "", "paratrooper": "", "old_naval_shell": "", "ww2_german_gun": "", "infantry-stryker": "", "bradley": "",
    # emoji
    "automobile": "red car", "oncoming automobile": "red car", "sport utility vehicle": "blue car", "oncoming taxi": "taxi", "oncoming police car": "police car",
    "canned food": "can of food", "running shoe": "sneaker", "amphora": "vase", "bowl with spoon": "bowl", "woman’s boot": "brown boot", "hiking boot": "hiking boot",
    "mantelpiece clock": "clock", "timer clock": "timer clock", "woman’s hat": "woman's hat", "bottle with popping cork": "green bottle", "honeybee": "bee",
    "lady beetle": "ladybug", "mouse face": "mouse", "cat face": "cat face", "spouting whale": "whale", "articulated lorry": "truck", "seat": "seat",
    "bison": "bison", "deciduous tree": "tree", "evergreen tree": "pine tree", "studio microphone": "microphone", "oncoming bus": "bus", "jack-o-lantern": "pumpkin",
    "hot dog": "hotdog", "clinking glasses": "", "railway car": "railway wagon", "tram car": "tram", "watch_tower": "tower", "flower playing cards": "", "carousel horse": "carousel", "pouring liquid": "", "microbe": "", "dna": "", "foggy": "", "night with stars": "", "cityscape": "", "sunrise over mountains": "", "sunrise": "",
    "cityscape at dusk": "", "sunset": "", "bridge at night": "", "milky way": "", "fog": "", "wind face": "", "cyclone": "", "sparkles": "", "ice": "", "level slider": "",
    "control knobs": "", "desert": "", "national park": "", "beach with umbrella": "", "moon viewing ceremony": "", "x-ray": "", "joker": "", "goal net": "", "mirror": "mirror",
}  # fmt: skip

_SKIP_STAMPS = re.compile(
    r"symbols/|roadsigns/|/flags/|body_parts|_mirror|grave-|dreydl|medical/|military/(?!vehicles/f22)|fireworks|naturalforces|menorah"
)
_EMOJI_GROUPS = ("Animals & Nature", "Food & Drink", "Travel & Places", "Activities", "Objects")
_SKIP_EMOJI = re.compile(
    r"o’clock|-thirty|moon face|banknote|chart|envelope|\bdisk\b|muted|speaker|arrow|speech|receipt|card|calendar|ballot|file|folder|clipboard|suit$|place medal|"
    r"crescent|gibbous|quarter moon|sun behind|cloud with|^link|chain|paw prints|feather$|^wing$|label|memo|page|bookmark|outbox|inbox|mailbox with|locked|placard|"
    r"construction$|ticket|^map|world map|globe|compass|stop sign|crossing|battery|pill$|drop of blood|adhesive|syringe|petri|test tube|cigarette|bikini|briefs|swimsuit|"
    r"shinto|kaaba|hindu|synagogue|mosque|wedding|love hotel|headstone|coffin|urn$|nazar|hamsa|prayer|musical (score|note)|e-mail|pager|dollar|money|bank$|safety pin"
)
#: kept out of training altogether, for learning and for measuring; the demo's samples come from these
HELD_OUT_NAMES = {
    "poodle", "rubber duck", "kettle", "rag doll", "green fedora", "black cat", "blue fedora", "camera", "toucan", "fox", "mug",
    "sombrero", "guitar", "pumpkin", "robot", "hiking boot", "penguin", "owl", "sports car", "teddy bear", "watch", "tiger", "red apple",
    "tractor", "panda", "alarm clock", "rooster", "daffodil", "trumpet", "zebra", "hamburger", "green bus", "squirrel", "pineapple", "frog",
    "handbag", "top hat", "violin", "parrot", "horse", "candle", "seagull", "elephant", "yarn", "treasure chest", "unicorn",
}  # fmt: skip


def _run(*command: str, cwd: Path) -> None:
    subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.DEVNULL)


def fetch(work: Path) -> Path:
    """Download and unpack every package once; returns the folder they were unpacked into."""
    packages, raw = work / "packages", work / "raw"
    packages.mkdir(parents=True, exist_ok=True)
    raw.mkdir(exist_ok=True)
    for name in DEBIAN:
        if not (raw / name).exists():
            _run("apt-get", "download", name, cwd=packages)
            (deb,) = packages.glob(f"{name}_*.deb")
            _run("dpkg", "-x", str(deb.resolve()), str((raw / name).resolve()), cwd=packages)
    for spec in NPM:
        name = spec.rsplit("@", 1)[0].strip("@").replace("/", "-")
        if not (raw / name).exists():
            _run("npm", "pack", "--silent", spec, cwd=packages)
            (raw / name).mkdir(parents=True)
            (tgz,) = packages.glob(f"{name}-*.tgz")
            _run("tar", "-xzf", str(tgz.resolve()), "-C", str((raw / name).resolve()), cwd=packages)
    return raw


def _clean(caption: str, stem: str) -> str:
    """A short noun phrase from a stamp's caption: first clause, no article, four words at most."""
    text = re.split(r"[—.,;:!?(–]", caption)[0].strip()
    text = re.sub(r"^(a|an|the|some|our|big|two|another|pair of)\s+", "", text, flags=re.IGNORECASE)
    text = re.sub(
        r"^(pair of|couple of|colorful toy|happy|very poisonous|male|female)\s+", "", text
    )
    if not text or len(text.split()) > 3 or not re.fullmatch(r"[\w' -]+", text):
        text = re.sub(r"[_\d-]+", " ", stem)
    return text.strip().lower()


def _noun(name: str) -> str:
    for noun, pattern in NOUNS:
        if re.search(pattern, name):
            return noun
    return name.split()[-1]


def square_sprite(image: Image.Image, size: int = SPRITE) -> Image.Image | None:
    """Cropped to its alpha box, fitted into a square and standing on its lower edge; None if too small."""
    image = image.convert("RGBA")
    box = image.getchannel("A").point(lambda a: 255 if a > 24 else 0).getbbox()
    if box is None or max(box[2] - box[0], box[3] - box[1]) < 48:
        return None
    image = image.crop(box)
    scale = (size - 4) / max(image.size)
    image = image.resize(
        (max(1, round(image.width * scale)), max(1, round(image.height * scale))),
        Image.Resampling.LANCZOS,
    )
    canvas = Image.new("RGBA", (size, size), (0, 0, 0, 0))
    canvas.paste(image, ((size - image.width) // 2, size - 2 - image.height))
    return canvas


def _stamps(raw: Path) -> list[tuple[Subject, Path]]:
    root = raw / "tuxpaint-stamps-default/usr/share/tuxpaint/stamps"
    found = []
    for path in sorted(root.rglob("*.png")):
        where = path.relative_to(root).as_posix()
        if _SKIP_STAMPS.search(where):
            continue
        text = path.with_suffix(".txt")
        caption = (
            text.read_text(encoding="utf-8", errors="replace").splitlines()[0]
            if text.exists()
            else ""
        )
        name = RENAMED.get(path.stem, _clean(caption, path.stem))
        if name:
            style = (
                "cartoon"
                if "cartoon" in where
                or "houses" in where
                or "seasonal" in where
                or "clothes" in where
                else "photo"
            )
            found.append(
                (Subject(f"stamp-{where[:-4].replace('/', '-')}", name, _noun(name), style), path)
            )
    return found


def _emoji(raw: Path) -> list[tuple[Subject, Path]]:
    listing = json.loads(
        (raw / "unicode-emoji-json/package/data-by-emoji.json").read_text(encoding="utf-8")
    )
    assets = raw / "lobehub-fluent-emoji-3d/package/assets"
    found = []
    for emoji, entry in listing.items():
        name = RENAMED.get(entry["name"], re.sub(r"\s*face$", " face", entry["name"].lower()))
        if entry["group"] not in _EMOJI_GROUPS or not name or _SKIP_EMOJI.search(entry["name"]):
            continue
        code = "-".join(f"{ord(c):04x}" for c in emoji)
        path = next(
            (p for c in (code, code.replace("-fe0f", "")) if (p := assets / f"{c}.webp").exists()),
            None,
        )
        if path:
            found.append((Subject(f"emoji-{code}", name, _noun(name), "render"), path))
    return found


def _hold_out(subjects: list[tuple[Subject, Path]]) -> list[tuple[Subject, Path]]:
    """One subject of each held-out name, the second drawing if there are two, so that the class stays known."""
    last = {s.name: s.id for s, _ in subjects if s.name in HELD_OUT_NAMES}
    return [
        (Subject(**(asdict(s) | {"held_out": last.get(s.name) == s.id})), p) for s, p in subjects
    ]


#: photographs among the wallpapers -> the scene they show ("" = no scene word; for the autoencoder's eyes only)
PHOTOS: dict[str, str] = {
    "BytheWater": "table", "EveningGlow": "sunset", "FallenLeaf": "autumn", "Path": "forest", "summer_1am": "sunset", "Kite": "sky", "Volna": "",
    "ColdRipple": "", "DarkestHour": "", "OneStandsOut": "", "ColorfulCups": "", "Grey": "", "Autumn": "", "Altai": "", "IceCold": "", "PastelHills": "",
    "Kleiber_by_Lukas_Baubkus": "", "Infinite-Sea_by_Aury88": "", "wood-d": "", "wood-l": "",
}  # fmt: skip
_PHOTO_FOLDERS = (
    "lomiri-wallpapers-16.04/usr/share/backgrounds",
    "mate-backgrounds/usr/share/backgrounds/mate",
)


def _photographs(raw: Path) -> list[tuple[str, Path]]:
    found = []
    for folder in sorted((raw / "plasma-workspace-wallpapers/usr/share/wallpapers").iterdir()):
        pictures = sorted(
            (
                p
                for p in folder.rglob("*")
                if p.suffix in (".jpg", ".png") and "screenshot" not in p.name
            ),
            key=lambda p: p.stat().st_size,
        )
        if folder.name in PHOTOS and pictures:
            found.append((PHOTOS[folder.name], pictures[-1]))
    for package in ("lomiri-wallpapers-20.04", "gnome-backgrounds"):
        found += [
            (PHOTOS[p.stem], p)
            for p in sorted((raw / package).rglob("*"))
            if p.stem in PHOTOS and p.suffix in (".jpg", ".png", ".webp")
        ]
    for folder_name in _PHOTO_FOLDERS:
        found += [
            ("", p)
            for p in sorted((raw / folder_name).rglob("*"))
            if p.suffix in (".jpg", ".png") and "abstract" not in p.parts
        ]
    return found


def build(work: Path) -> list[Subject]:
    """Fetch, cut and write the world; returns its subjects."""
    raw, world = fetch(work), work / "world"
    (world / "sprites").mkdir(parents=True, exist_ok=True)
    (world / "photos").mkdir(exist_ok=True)
    kept = []
    for subject, path in _hold_out(_stamps(raw) + _emoji(raw)):
        with Image.open(path) as image:
            sprite = square_sprite(image)
        if sprite is not None:
            sprite.save(world / "sprites" / f"{len(kept):04d}.webp", quality=90, method=4)
            kept.append(subject)
    # after the others, so that these and what is held out of them stay as they were
    for name, shown, cut in photographed(raw / "gcompris-qt-data"):
        sprite = square_sprite(cut)
        if sprite is not None:
            sprite.save(world / "sprites" / f"{len(kept):04d}.webp", quality=90, method=4)
            kept.append(Subject(f"gcompris-{name}", shown, _noun(shown), "photo"))
    photographs = []
    Image.MAX_IMAGE_PIXELS = None
    for n, (scene, path) in enumerate(_photographs(raw)):
        with Image.open(path) as image:
            image.draft("RGB", (PHOTO * 2, PHOTO * 2))
            image.thumbnail((PHOTO * 2, PHOTO))
            image.convert("RGB").save(world / "photos" / f"{n:03d}.jpg", quality=92)
        photographs.append({"file": f"{n:03d}.jpg", "scene": scene, "source": path.name})
    listing = {"subjects": [asdict(s) for s in kept], "photographs": photographs}
    (world / "subjects.json").write_text(json.dumps(listing, indent=0), encoding="utf-8")
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("build/pocket"))
    subjects = build(parser.parse_args().work)
    print(f"{len(subjects)} subjects, {sum(s.held_out for s in subjects)} of them held out")


if __name__ == "__main__":
    main()
