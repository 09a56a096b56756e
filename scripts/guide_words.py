"""Words of the plant guide in English and Korean: toxic parts, animals, and the notes that follow from the tables."""

from __future__ import annotations

from typing import Dict, Tuple

# What TPPT and Cornell print about parts, in words for the reader. A text that is missing here is an error, not a guess.
PARTS: Dict[str, Tuple[str, str]] = {
    "whole plant": ("the whole plant", "식물 전체"),
    "all": ("the whole plant", "식물 전체"),
    "aerial part": ("the parts above the ground", "지상부"),
    "aerial part (or whole plant)": ("the parts above the ground, or the whole plant", "지상부 또는 식물 전체"),
    "whole plant, highest concentrations in root, seed":
        ("the whole plant, most of all root and seeds", "식물 전체, 특히 뿌리와 씨"),
    "whole plant, highest concentrations in seed": ("the whole plant, most of all the seeds", "식물 전체, 특히 씨"),
    "whole plant, highest concentrations in bulb": ("the whole plant, most of all the bulb", "식물 전체, 특히 알뿌리"),
    "whole plant, highest concentrationt in flower, fruit":
        ("the whole plant, most of all flowers and berries", "식물 전체, 특히 꽃과 열매"),
    "whole plant, highest concentrations in bark, latex": ("the whole plant, most of all bark and milky sap", "식물 전체, 특히 껍질과 유액"),
    "whole plant, highest concentrations in capsule, latex (without seed)":
        ("the whole plant, most of all seed capsule and milky sap, without the seeds", "씨를 뺀 식물 전체, 특히 열매껍질과 유액"),
    "fruit, leaf (or whole part)": ("fruits and leaves, or the whole plant", "열매와 잎 또는 식물 전체"),
    "leaf (or whole plant)": ("the leaves, or the whole plant", "잎 또는 식물 전체"),
    "leaf, rhizome (or whole plant)": ("leaves and rhizome, or the whole plant", "잎과 뿌리줄기 또는 식물 전체"),
    "flower, rhizome (or whole plant)": ("flowers and rhizome, or the whole plant", "꽃과 뿌리줄기 또는 식물 전체"),
    "bulb (or whole plant)": ("the bulb, or the whole plant", "알뿌리 또는 식물 전체"),
    "bark, fruit, leaf": ("bark, fruits (acorns) and leaves", "껍질, 열매(도토리), 잎"),
    "leaf, herb": ("leaves and the rest of the herb", "잎을 비롯한 지상부"),
    "tuber": ("the tuber", "덩이줄기"),
    "seed": ("the seeds", "씨"),
    "leaves, twigs, roots, unripe fruits": ("leaves, twigs, roots and unripe fruits", "잎, 잔가지, 뿌리, 덜 익은 열매"),
    "leaves, stems and sap": ("leaves, stems and sap", "잎, 줄기, 수액"),
    "acorns, young leaves": ("acorns and young leaves", "도토리와 어린잎"),
    "rhizomes and rootstocks": ("rhizomes and rootstocks", "뿌리줄기와 뿌리"),
    "seeds": ("the seeds", "씨"),
    "(seeds)": ("the seeds", "씨"),
    "(seeds only)": ("the seeds", "씨"),
    "(thorns)": ("the thorns", "가시"),
    "(bulb)": ("the bulb", "알뿌리"),
}
ANIMALS_KO = {
    "all": "모든 동물", "cats": "고양이", "cat": "고양이", "cattle": "소", "dogs": "개", "goats": "염소", "horses": "말", "horse": "말",
    "sheep": "양", "swine": "돼지", "rodents": "설치류", "turkeys": "칠면조",
}

# Notes that follow from the tables; {said} and {named} are filled in.
NOTES: Dict[str, Tuple[str, str]] = {
    "no_source": (
        "None of the tables grades this plant or lists it as non-toxic. Unknown does not mean safe.",
        "어느 표도 이 식물의 등급을 매기거나 독성 없음으로 올리지 않았다. '알 수 없음'은 안전하다는 뜻이 아니다.",
    ),
    "tables_disagree": (
        "The tables disagree ({said}). The most severe is shown.",
        "표마다 다르다({said}). 가장 심한 것을 보였다.",
    ),
    "within_genus": (
        "Species of this genus are graded differently and a photo does not tell them apart; the most severe is shown.",
        "같은 속 안에서도 종마다 등급이 다르고 사진으로는 종을 가릴 수 없어 가장 심한 것을 보였다.",
    ),
    "genus_only": (
        "The level comes from a listing of the whole genus; no table gives it for this species by name.",
        "이 등급은 속 전체의 항목에서 왔으며, 이 종의 이름으로 매긴 표는 없다.",
    ),
    "some_species": (
        "The tables name only some species of the genus ({named}).",
        "표에는 이 속의 일부 종만 나온다({named}).",
    ),
    "relative_only": (
        "No table names this plant; the level is that of other species of its genus ({named}).",
        "이 식물을 다룬 표는 없고, 같은 속의 다른 종({named})의 등급이다.",
    ),
    "all_top": (
        "Every table that grades it gives its highest grade.",
        "등급을 매긴 모든 표가 가장 높은 등급을 주었다.",
    ),
    "raised": (
        "The tables grade it by skin contact only, without a severity; it is raised because Cornell names this genus as "
        "poisonous to people. Contact can cause anything from redness to blisters like burns.",
        "표는 피부 접촉만으로 분류하고 심한 정도는 나누지 않는다. 코넬대학교가 이 속을 사람에게 독성이 있다고 적었으므로 "
        "등급을 올렸다. 닿으면 붉어짐부터 화상 같은 물집까지 생길 수 있다.",
    ),
    "merged": (
        "Joins {named}; the facts and their sources are those of these species.",
        "다음 종을 묶은 항목이다: {named}. 사실과 출처는 각 종의 것이다.",
    ),
}
