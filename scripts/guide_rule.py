"""How a plant's danger level follows from the fact tables.

The rule is described for people in guides/plants/README.md; this module is the same rule for machines. It knows
three things: which rows of a table speak about an entry (``match_rows``), which level they add up to (``decide``),
and the notes that an honest entry then owes its reader (``derive``). Nothing here reads or writes a file.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple

Json = Dict[str, Any]
MATCH_ORDER = ("species", "member", "genus", "relative")
GENUS_WIDE = {"spp", "spp.", "sp.", "genus", "hybrids"}


def latin_key(text: str) -> Tuple[str, Optional[str]]:
    """Genus and epithet of a Latin name; the epithet is None when the row covers the whole genus.

    Authors, brackets and hybrid signs are dropped: "Narcissus x medioluteus Mill." is ("narcissus", "medioluteus").
    """
    words = [w for w in text.replace("(", " (").split() if w not in ("x", "×")]
    genus = words[0].lower()
    if len(words) == 1 or words[1].startswith("("):
        return genus, None
    epithet = words[1].lower()
    return genus, None if epithet in GENUS_WIDE else epithet


def match_kind(entry: Json, row_latin: str) -> Optional[str]:
    """How a row's Latin name relates to an entry: species, member, genus, relative, or None for not at all."""
    if entry["rank"] == "family":
        return None
    genus, epithet = latin_key(row_latin)
    names = [latin_key(n) for n in [entry["scientific_name"], *entry["synonyms"]]]
    if genus not in {g for g, _ in names}:
        return None
    if epithet is None:
        return "genus"
    if entry["rank"] == "genus":
        whole = {g for g, e in names if e is None}
        return "member" if genus in whole or (genus, epithet) in names else None
    return "species" if (genus, epithet) in names else "relative"


def match_rows(entry: Json, tables: Dict[str, List[Json]]) -> List[Json]:
    """Every row that speaks about the entry, less those that the entry leaves out by name."""
    left_out = {(r["table"], r["row"], r["name"]) for r in entry["left_out"]}
    found = []
    for table, rows in tables.items():
        for row in rows:
            kind = match_kind(entry, row["name"])
            if kind and (table, row["row"], row["name"]) not in left_out:
                found.append({**row, "table": table, "match": kind})
    return found


def grade(row: Json, sources: Json) -> Tuple[Optional[str], str, str]:
    """Level of one row about people, and its words in English and Korean."""
    table = sources["tables"][row["table"]]
    if "listing" in table:
        listing = table["listing"]
        return listing["level"], listing["en"], listing["ko"]
    said = [row["says"]] if row["table"] == "tppt" else [p.strip() for p in row["says"].split(",")]
    parts = [table["grades"][s] for s in said]
    level = most_severe([p["level"] for p in parts], sources)
    return level, ", ".join(p["en"] for p in parts), "·".join(p["ko"] for p in parts)


def most_severe(levels: List[Optional[str]], sources: Json) -> Optional[str]:
    known = [lv for lv in levels if lv is not None]
    return max(known, key=sources["levels"].index) if known else None


def speaks(entry: Json, row: Json, level: Optional[str]) -> bool:
    """A non-toxic row counts only for exactly this plant or its whole genus; a graded row always counts."""
    if level is None:
        return False
    return level != "no_known_hazard" or row["match"] in ("species", "genus")


def decide(entry: Json, tables: Dict[str, List[Json]], sources: Json) -> Json:
    """Level of an entry, the rows it rests on, and which step of the rule decided."""
    rows = match_rows(entry, tables)
    people = []
    for row in rows:
        if sources["tables"][row["table"]]["about"] == "people":
            level, en, ko = grade(row, sources)
            if speaks(entry, row, level):
                people.append({**row, "level": level, "en": en, "ko": ko})
    near = [r for r in people if r["match"] != "relative"]
    used = near or [r for r in people if r["level"] != "no_known_hazard"]
    level = most_severe([r["level"] for r in used], sources)
    steps: List[str] = []
    if level is None:
        return {"level": "unknown", "used": [], "rows": rows, "steps": ["no_source"], "base": "unknown"}
    base = level
    spoken = {r["table"] for r in used}
    top = {r["table"] for r in used if sources["tables"][r["table"]].get("top") in [p.strip() for p in r["says"].split(",")]}
    if level == "dangerous" and len(spoken) >= 2 and spoken == top:
        level = "deadly"
        steps.append("all_top")
    human = [r for r in rows if r["table"] == "cornell" and "humans" in r["affects"]]
    if level == "irritant" and human:
        level = "dangerous"
        steps.append("raised")
    return {"level": level, "base": base, "used": used, "rows": rows, "steps": steps, "human": human}
