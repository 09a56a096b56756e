"""The derived half of a guide entry: danger, sources, animals, and the notes that say how sure they are.

``derive`` returns exactly the fields that guides/plants/entries.json must hold; the checker compares, ``--write`` stores.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, Optional, Tuple

from guide_rule import MATCH_ORDER, Json, decide, grade, most_severe
from guide_words import ANIMALS_KO, NOTES, PARTS

AUTHORED_NOTES = ("label", "remark")


def note(code: str, said: Tuple[str, str] = ("", ""), named: str = "") -> Json:
    """A note of guide_words.NOTES, filled in; `said` is per language, Latin names are the same in both."""
    en, ko = NOTES[code]
    return {"code": code, "en": en.format(said=said[0], named=named), "ko": ko.format(said=said[1], named=named)}


def short_name(latin: str) -> str:
    """Latin name without author and without the long bracket of an aggregate."""
    words = latin.split("(")[0].split()
    keep = words[:3] if len(words) > 2 and words[1] in ("x", "×") else words[:2]
    return " ".join(keep)


def danger_parts(decision: Json) -> Optional[Json]:
    """Toxic parts as the first table that names them has it: TPPT, then Cornell, then a bracket in a common name."""
    if decision["level"] in ("unknown", "no_known_hazard"):
        return None
    rows = decision["rows"]
    silent = ("nontoxic", "unknown", "stimulating")
    tppt = [r for r in rows if r["table"] == "tppt" and r["parts"] and r["says"] not in silent]
    used = [r for r in decision["used"] if r["table"] == "tppt" and r["parts"]]
    worst = most_used_level(used, decision)
    near = worst or [r for r in tppt if r["match"] != "relative"]
    far = [r for r in tppt if r["match"] == "relative"]
    cornell = [r for r in rows if r["table"] == "cornell" and r["parts"] and r["match"] != "relative"]
    one_text = far if len({r["parts"] for r in far}) == 1 else []
    for candidates in (near, cornell, one_text):
        if candidates:
            row = candidates[0]
            return part_fact(row, row["parts"])
    for row in decision["used"]:
        bracket = re.search(r"\([^)]*\)", row["row"])
        if bracket and bracket.group(0) in PARTS:
            return part_fact(row, bracket.group(0))
    return None


def most_used_level(used: List[Json], decision: Json) -> List[Json]:
    """The TPPT rows at the deciding level; where TPPT is milder than the level, its own worst rows."""
    order = ["irritant", "harmful", "dangerous", "deadly"]
    graded = [r for r in used if r["level"] in order and r["match"] != "relative"]
    if not graded:
        return []
    worst = max((r["level"] for r in graded), key=order.index)
    return [r for r in graded if r["level"] == worst]


def part_fact(row: Json, text: str) -> Json:
    en, ko = PARTS[text.strip().lower()]
    return {"en": en, "ko": ko, "source": {key: row[key] for key in ("table", "row", "name", "match")}}


def animals(rows: List[Json]) -> Optional[Json]:
    """What TPPT and Cornell say about animals, for exactly this plant, its genus or members of the genus."""
    en: List[str] = []
    ko: List[str] = []
    near = [r for r in rows if r["match"] != "relative"]
    graded = [r["animal"] for r in near if r["table"] == "tppt" and r["animal"]]
    if graded:
        order = ["weak toxic", "toxic", "strong toxic", "very strong toxic"]
        word = {"weak toxic": "약한 독성", "toxic": "독성", "strong toxic": "강한 독성", "very strong toxic": "매우 강한 독성"}
        worst = max(graded, key=lambda g: order.index(g.split(" (")[0]))
        base, _, kind = worst.rstrip(")").partition(" (")
        en.append(f"TPPT: {base}" + (f" to {kind}s" if kind else ""))
        ko.append(f"TPPT: {word[base]}" + (f"({ANIMALS_KO[kind]})" if kind else ""))
    named: List[str] = []
    for row in near:
        if row["table"] == "cornell":
            named += [a for a in row["affects"] if a != "humans" and a not in named]
    if named:
        shown = [{"all": "all animals", "horse": "horses"}.get(a, a) for a in named]
        en.append("Cornell: " + ", ".join(shown))
        ko.append("코넬대학교: " + ", ".join(ANIMALS_KO[a] for a in named))
    return {"en": "; ".join(en), "ko": "; ".join(ko)} if en else None


def group_sources(used: List[Json], human: List[Json]) -> List[Json]:
    """Rows that say the same in the same table stand together; most severe table text first as the tables come."""
    groups: Dict[Tuple[str, str, str], Json] = {}
    people = [{**r, "en": "poisonous to people", "ko": "사람에게 독성", "level": None} for r in human]
    for row in [*used, *people]:
        head = {"table": row["table"], "match": row["match"], "says": {"en": row["en"], "ko": row["ko"]}}
        group = groups.setdefault((row["table"], row["match"], row["en"]), {**head, "level": row["level"], "rows": []})
        group["rows"].append({"row": row["row"], "name": row["name"]})
    return list(groups.values())


def table_levels(used: List[Json], sources: Json) -> Dict[str, str]:
    """Most severe level of each table, capped at `dangerous`, the top that the Californian lists can express.

    A listing as non-toxic that excepts a part ("except for seeds") contradicts nobody and is left out.
    """
    worst: Dict[str, str] = {}
    for row in used:
        if row["level"] == "no_known_hazard" and "except" in row["row"] + row["name"]:
            continue
        level = "dangerous" if row["level"] == "deadly" else row["level"]
        worst[row["table"]] = most_severe([worst.get(row["table"]), level], sources) or level
    return worst


def named_by(entry: Json, rows: List[Json]) -> bool:
    """Whether a genus-wide row names the plant itself among its common names ("Poinsettia" in the row of the spurges)."""
    spoken = [" ".join(re.findall(r"[a-z]+", r["row"].lower())) for r in rows]
    names = [" ".join(re.findall(r"[a-z]+", n.lower())) for n in entry["names"]["en"]]
    return any(f" {name} " in f" {text} " for name in names for text in spoken)


def differs_within(rows: List[Json], sources: Json) -> bool:
    """Whether one and the same table grades species of the genus differently (its non-toxic ones count here)."""
    seen: Dict[str, set] = {}
    for row in rows:
        if row["match"] == "member" and sources["tables"][row["table"]]["about"] == "people":
            seen.setdefault(row["table"], set()).add(grade(row, sources)[0])
    return any(len(levels - {None}) > 1 for levels in seen.values())


def disagreement(used: List[Json], sources: Json) -> Tuple[str, str]:
    """What each table says at its worst, in both languages."""
    said_en, said_ko = [], []
    for table in dict.fromkeys(r["table"] for r in used):
        of_table = [r for r in used if r["table"] == table]
        level = most_severe([r["level"] for r in of_table], sources)
        row = next(r for r in of_table if r["level"] == level)
        name = sources["tables"][table]["short"]
        said_en.append(f"{name['en']}: {row['en']}")
        said_ko.append(f"{name['ko']}: {row['ko']}")
    return "; ".join(said_en), "; ".join(said_ko)


def derived_notes(entry: Json, decision: Json, matched: str, sources: Json) -> List[Json]:
    used = decision["used"]
    if "no_source" in decision["steps"]:
        return [note("no_source")]
    notes: List[Json] = []
    named = ", ".join(dict.fromkeys(short_name(r["name"]) for r in used))
    deciding = [r for r in used if r["level"] == decision["base"]]
    if len(set(table_levels(used, sources).values())) > 1:
        notes.append(note("tables_disagree", said=disagreement(used, sources)))
    if differs_within(decision["rows"], sources):
        notes.append(note("within_genus"))
    if matched == "genus" and entry["rank"] == "species" and not named_by(entry, deciding):
        notes.append(note("genus_only"))
    if matched == "member" and not any(r["match"] == "genus" for r in used):
        notes.append(note("some_species", named=named))
    if matched == "relative":
        notes.append(note("relative_only", named=named))
    return notes + [note(step) for step in decision["steps"]]


def derive(entry: Json, tables: Dict[str, List[Json]], sources: Json) -> Json:
    """Fields of a class entry that follow from the tables."""
    decision = decide(entry, tables, sources)
    deciding = [r["match"] for r in decision["used"] if r["level"] == decision["base"]]
    matched = min(deciding, key=MATCH_ORDER.index) if deciding else "none"
    own = [n for n in entry["notes"] if n["code"] in AUTHORED_NOTES]
    extra = derived_notes(entry, decision, matched, sources)
    return {
        "danger": {
            "level": decision["level"],
            "dangerous": decision["level"] in sources["dangerous_levels"],
            "matched": matched,
            "tables_disagree": any(n["code"] == "tables_disagree" for n in extra),
            "parts": danger_parts(decision),
        },
        "animals": animals(decision["rows"]),
        "sources": group_sources(decision["used"], decision.get("human", []) if "raised" in decision["steps"] else []),
        "notes": [n for n in own if n["code"] == "label"] + extra + [n for n in own if n["code"] == "remark"],
    }


def derive_merged(entry: Json, members: List[Json], sources: Json) -> Json:
    """Fields of an entry that joins classes: the most severe member decides, its sources stay with the members."""
    level = most_severe([m["danger"]["level"] for m in members if m["danger"]["level"] != "unknown"], sources) or "unknown"
    worst = next(m for m in members if m["danger"]["level"] == level)
    own = [n for n in entry["notes"] if n["code"] in AUTHORED_NOTES]
    merged = note("merged", named=", ".join(m["scientific_name"] for m in members))
    raised = [n for n in worst["notes"] if n["code"] == "raised"]
    danger = {"level": level, "dangerous": level in sources["dangerous_levels"], "matched": "members",
              "tables_disagree": any(m["danger"]["tables_disagree"] for m in members), "parts": worst["danger"]["parts"]}
    return {"danger": danger, "animals": None, "sources": [], "notes": [merged, *raised, *own]}
