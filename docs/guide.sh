#!/usr/bin/env bash
# Makes every picture of docs/guide.md: ten bundled subjects learned one after another on the embedded base,
# about half an hour on two cores. Goes on where it was stopped; `rm -r build/guide` starts over.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
export LFSD_HOME=build/guide/home
drawn=build/guide/pictures images=docs/images/guide
mkdir -p "$drawn" "$images"

learn() { # folder token class
  lfsd show "$2" >/dev/null 2>&1 || lfsd learn "lfsd/samples/$1" --token "$2" --class "$3"
}
draw() { # name prompt [option...]: a sheet of four
  local name=$1; shift
  [ -e "$images/$name.png" ] || cp "$(lfsd gen "$@" -n 4 --grid --seed 7 --no-preview --out "$drawn" --json | jq -r .grid)" "$images/$name.png"
}

learn black_cat V1 cat
cp "$LFSD_HOME/work/photos.png" "$images/photos.png"
draw first "a photo of a V1 cat"
draw beach "a V1 cat on a beach"
draw no-context "a V1 cat on a beach" --no-context
learn poodle V2 dog
draw second "a V2 dog on grass"
draw both "a V1 cat and a V2 dog"
learn teddy_bear V3 "teddy bear"
learn sports_car V4 car
learn kettle V5 teapot
learn fedora V6 hat
learn handbag V7 bag
learn hiking_boot V8 boot
learn alarm_clock V9 clock
learn rubber_duck V10 toy
draw cat-after-ten "a V1 cat on a beach"
draw cat-as-of-one "a V1 cat on a beach" --as-of 1
while read -r token noun; do
  lfsd gen "a photo of a $token $noun" --seed 7 --no-preview --out "$drawn/ten" -q
  lfsd gen "a $token $noun on a beach" --seed 7 --no-preview --out "$drawn/ten" -q
done < <(lfsd ls --json | jq -r '.concepts[] | .token + " " + .class') > build/guide/ten.txt
python docs/screens.py sheet build/guide/ten.txt "$images/ten.png" --columns 10
lfsd report --json --html build/guide/report.html > build/guide/report.json
python docs/screens.py tui "$LFSD_HOME" "$drawn" docs/images
