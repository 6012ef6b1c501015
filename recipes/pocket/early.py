"""The early world, for a CPU: one to three subjects of each noun people teach and of some others, and the scenes people ask for first.

Chosen by hand, so that each subject looks like its noun: a wheelchair is a chair and a siren goes with police cars, but a model
that learns "a chair" from three such things draws none of them.
"""

#: class noun -> `Subject.id` of its subjects
SUBJECTS: dict[str, tuple[str, ...]] = {
    "apple": ("stamp-food-fruit-apple_fuji", "stamp-food-fruit-apple_red"),
    "backpack": ("emoji-1f392",),
    "bag": ("emoji-1f4bc", "emoji-1f9f3"),
    "ball": ("stamp-sports-australian_rules_football", "emoji-26bd", "emoji-1faa9", "gcompris-categorization-baseball"),
    "bird": ("emoji-1f426-200d-2b1b", "stamp-animals-birds-pigeon", "gcompris-erase-kingfisher", "gcompris-explore_world_animals-scarlet_macaw"),
    "boat": ("emoji-26f5",),
    "boot": ("emoji-1f462",),
    "bottle": ("emoji-1f37e", "emoji-1f9f4"),
    "bowl": ("emoji-1f963", "emoji-1f35c"),
    "can": ("stamp-household-garbagecan", "emoji-1f96b"),
    "candle": ("stamp-seasonal-candle",),
    "car": ("stamp-vehicles-auto-sedan", "emoji-1f696", "emoji-1f697"),
    "cat": ("stamp-seasonal-halloween-blackcat", "emoji-1f431", "gcompris-explore_farm_animals-cat", "gcompris-erase-kitten"),
    "chair": ("emoji-1fa91",),
    "clock": ("emoji-23f2-fe0f", "emoji-1f570-fe0f"),
    "cup": ("emoji-1f375", "emoji-1f37a", "gcompris-categorization-cup"),
    "dog": ("stamp-animals-mammals-dogs-dog", "emoji-1f436", "emoji-1f415", "gcompris-explore_farm_animals-dog"),
    "duck": ("emoji-1f986", "gcompris-explore_farm_animals-duck"),
    "flower": ("stamp-plants-flowers-adeenia", "stamp-plants-flowers-pigface", "emoji-1fabb"),
    "glasses": ("emoji-1f453", "emoji-1f576-fe0f", "emoji-1f97d"),
    "hat": ("stamp-clothes-hats-tophat", "emoji-1f452"),
    "horse": ("stamp-animals-mammals-equines-horse", "emoji-1f434", "gcompris-erase-horse"),
    "house": ("stamp-town-houses-cartoon-cityhouse", "stamp-town-houses-cartoon-wooden_cottage", "emoji-1f3e1"),
    "penguin": ("stamp-animals-birds-cartoon-pengwin", "stamp-animals-birds-little-penguin", "stamp-animals-birds-penguin", "gcompris-erase-penguin"),
    "rabbit": ("emoji-1f430",),
    "shoe": ("emoji-1fa74", "emoji-1f97f", "emoji-1f461"),
    "sneaker": ("emoji-1f45f",),
    "teapot": ("stamp-household-dishes-teapot", "emoji-1fad6"),
    "teddy bear": ("stamp-animals-mammals-bears-cartoon-teddy_bear", "stamp-animals-mammals-bears-toys-edward_bear"),
    "tiger": ("emoji-1f42f",),
    "toy": ("stamp-vehicles-locomotive-cartoon-toy_train", "emoji-1fa86"),
    "tree": ("stamp-seasonal-christmas-tree", "emoji-1f333", "stamp-plants-trees-liberia-palm"),
    "vase": ("emoji-1f3fa",),
}  # fmt: skip

SCENES = (
    "beach", "snow", "grass", "forest", "water", "desert", "mountain", "city street", "wooden floor", "indoors", "sunset", "night", "space",
    "red background", "green background", "blue background", "yellow background", "white background", "black background",
)  # fmt: skip
