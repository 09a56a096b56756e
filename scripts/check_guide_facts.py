#!/usr/bin/env python3
"""Checks the plant guide against the fact tables that it cites; with --write it stores what follows from them.

    python3 scripts/check_guide_facts.py --facts ../shared/data/facts [--manifest ../shared/data/plants/manifest.csv]

The tables are not part of the project. For every entry this recomputes, from the tables and from the rule of
guides/plants/README.md, the level, its sources, the toxic parts and the notes, and compares them with entries.json;
it also checks names, lookalikes, groups and that every class of the manifest has an entry. Without --facts only that
is checked which needs no table: the shape, the groups, and that each level follows from the sources that the entry cites.
Exit status: 0 when everything holds, 1 when something does not, 2 when a table is missing.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
from pathlib import Path
from typing import Dict, List, Set

from guide_notes import derive, derive_merged
from guide_rule import Json, latin_key, most_severe

GUIDE = Path(__file__).resolve().parent.parent / "guides" / "plants"
RANKS = {"species", "genus", "family", "group"}


def read_csv(path: Path) -> List[Dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as handle:
        return list(csv.DictReader(handle))


def load_tables(facts: Path, sources: Json) -> Dict[str, List[Json]]:
    """The tables in one shape: row (its key), name (Latin), says (grade), parts, animal, affects."""
    tables: Dict[str, List[Json]] = {}
    for table, info in sources["tables"].items():
        rows = []
        for r in read_csv(facts / info["file"]):
            common = r.get("common_name") or r.get("common_names") or ""
            rows.append({
                "row": r["Plant_number"] if table == "tppt" else common,
                "name": " ".join((r.get("Latin_plant_name") or r["scientific_name"]).split()),
                "says": (r.get("Human_toxicity") or r.get("rating") or r.get("toxicity_class") or "").strip(),
                "parts": (r.get("Toxic_plant_part") or r.get("parts_poisonous") or "").strip(),
                "animal": (r.get("Animal_toxicity") or "").strip(),
                "affects": [a.strip() for a in (r.get("species_most_affected") or "").split(",") if a.strip()],
            })
        tables[table] = rows
    return tables


def check_left_out(entry: Json, tables: Dict[str, List[Json]]) -> List[str]:
    """A row that an entry leaves out must exist, and its remark or label must say why."""
    bad = []
    for out in entry["left_out"]:
        if not any(r["row"] == out["row"] and r["name"] == out["name"] for r in tables[out["table"]]):
            bad.append(f"left_out row not in {out['table']}: {out['row']} | {out['name']}")
    if entry["left_out"] and not any(n["code"] in ("label", "remark") for n in entry["notes"]):
        bad.append("leaves rows out without a note that says why")
    return bad


def check_cited(entry: Json, tables: Dict[str, List[Json]]) -> List[str]:
    """Every cited row stands in its table under that key and that Latin name."""
    cited = [(s["table"], r) for s in entry["sources"] for r in s["rows"]]
    if entry["danger"]["parts"]:
        source = entry["danger"]["parts"]["source"]
        cited.append((source["table"], source))
    return [f"cited row not in {table}: {r['row']} | {r['name']}" for table, r in cited
            if not any(t["row"] == r["row"] and t["name"] == r["name"] for t in tables[table])]


def check_korean_name(entry: Json, facts: Path) -> List[str]:
    source = entry["ko_names_source"]
    genera = {latin_key(n)[0] for n in [entry["scientific_name"], *entry["synonyms"]]}
    if source == "ko_names_99":
        rows = [(r["ko_name"], r["scientific_name"]) for r in read_csv(facts / "ko_names_99.csv")]
    elif source == "recommended_classes":
        rows = [(r["korean_by_scout_unverified"], r["scientific"]) for r in read_csv(facts / "recommended_classes.csv")]
    else:
        return [] if source == "common_use" else [f"unknown ko_names_source {source!r}"]
    near = [ko for ko, latin in rows if latin_key(latin)[0] in genera]
    listed = {part.strip() for ko in near for part in re.split(r"[()·]", ko)}
    found = any(name in listed for name in entry["names"]["ko"])
    return [] if found else [f"no Korean name of it stands in {source} for its genus"]


def check_taxon(entry: Json, facts: Path) -> List[str]:
    """The row that names the plant exists and has its genus; "photos" means that no table names it rightly."""
    source = entry["taxon_source"]
    files = {"oxford102_taxa": ("name", "genus"), "recommended_classes": ("english", "scientific")}
    if source["table"] == "photos":
        return []
    key, latin = files[source["table"]]
    genera = {latin_key(n)[0] for n in [entry["scientific_name"], *entry["synonyms"]]}
    rows = [r for r in read_csv(facts / f"{source['table']}.csv") if r[key] == source["row"]]
    if any(part.split()[0].lower() in genera for r in rows for part in r[latin].split(",")):
        return []
    return [f"{source['table']} has no row {source['row']!r} of its genus"]


def check_shape(entry: Json, by_id: Dict[str, Json]) -> List[str]:
    bad = [f"empty {field}.{lang}" for field in ("names", "text") for lang in ("en", "ko") if not entry[field][lang]]
    for other in entry["lookalikes"]:
        if other not in by_id or by_id[other]["members"] or other == entry["id"]:
            bad.append(f"lookalike {other!r} is not another class")
        elif not entry["members"] and entry["id"] not in by_id[other]["lookalikes"]:
            bad.append(f"lookalike {other!r} does not name it back")
    if entry["rank"] not in RANKS:
        bad.append(f"rank {entry['rank']!r} is not one of {sorted(RANKS)}")
    if (entry["rank"] == "group") != bool(entry["members"]):
        bad.append("rank group and members go together")
    if entry["rank"] == "genus" and len(entry["scientific_name"].split()) != 1:
        bad.append("rank genus needs a one-word scientific name")
    return bad


def check_level(entry: Json, sources: Json) -> List[str]:
    """The level follows from the entry's own sources and notes: what a reader without the tables can verify."""
    danger, codes = entry["danger"], {n["code"] for n in entry["notes"]}
    want = most_severe([s["level"] for s in entry["sources"]], sources) or "unknown"
    if "all_top" in codes and want == "dangerous":
        want = "deadly"
    if "raised" in codes and want == "irritant":
        want = "dangerous"
    bad = [] if danger["level"] == want else [f"level is {danger['level']}, its sources give {want}"]
    if danger["dangerous"] != (danger["level"] in sources["dangerous_levels"]):
        bad.append("dangerous does not follow from the level")
    return bad


def check_groups(entries: List[Json]) -> List[str]:
    """Joined entries agree in the level that the verdict sums, and dangerous classes of one genus are joined."""
    bad = []
    genera: Dict[str, Set[str]] = {}
    for e in entries:
        if e["danger"]["dangerous"]:
            genera.setdefault(latin_key(e["scientific_name"])[0], set()).add(e["verdict_group"] or e["id"])
    for genus, groups in genera.items():
        if len(groups) > 1:
            bad.append(f"dangerous classes of {genus} are not in one verdict_group: {sorted(groups)}")
    for group in sorted({e["verdict_group"] for e in entries if e["verdict_group"]}):
        levels = {e["danger"]["level"] for e in entries if e["verdict_group"] == group}
        if len(levels) != 1:
            bad.append(f"verdict_group {group}: levels differ: {sorted(levels)}")
    return bad


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--facts", type=Path, help="folder with the fact tables; without it the citations are not checked")
    parser.add_argument("--manifest", type=Path, help="manifest.csv of the photos: every class must have an entry")
    parser.add_argument("--write", action="store_true", help="store the derived fields in entries.json")
    parser.add_argument("--table", action="store_true", help="print one line an entry")
    args = parser.parse_args()
    sources = json.loads((GUIDE / "sources.json").read_text(encoding="utf-8"))
    guide = json.loads((GUIDE / "entries.json").read_text(encoding="utf-8"))
    if args.write and not args.facts:
        parser.error("--write needs --facts")
    try:
        tables = load_tables(args.facts, sources) if args.facts else {}
    except FileNotFoundError as error:
        print(f"fact table missing: {error.filename}; pass --facts the folder that holds the tables", file=sys.stderr)
        return 2
    entries: List[Json] = guide["entries"]
    by_id = {e["id"]: e for e in entries}
    bad: List[str] = [] if len(by_id) == len(entries) else ["two entries have the same id"]
    for entry in sorted(entries, key=lambda e: bool(e["members"])):
        members = [by_id[m] for m in entry["members"]]
        want: Json = {}
        if members:
            want = derive_merged(entry, members, sources)
        elif args.facts:
            want = derive(entry, tables, sources)
        if args.write:
            entry.update(want)
        wrong = [field for field, value in want.items() if entry.get(field) != value]
        problems = [f"{field} does not follow; run with --write and read the change" for field in wrong]
        problems += check_shape(entry, by_id)
        problems += [] if members else check_level(entry, sources)
        if args.facts:
            problems += check_left_out(entry, tables) + check_cited(entry, tables)
            problems += [] if members else check_korean_name(entry, args.facts) + check_taxon(entry, args.facts)
        bad += [f"{entry['id']}: {p}" for p in problems]
    bad += check_groups(entries)
    if args.manifest:
        classes = {r["class"] for r in read_csv(args.manifest)}
        known = {e["id"] for e in entries if not e["members"]} | {o["id"] for o in guide["outcomes"]}
        bad += [f"class {c} has no entry" for c in sorted(classes - known)]
        bad += [f"entry {c} is no class" for c in sorted(known - classes)]
    if args.write:
        (GUIDE / "entries.json").write_text(json.dumps(guide, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    if args.table:
        for e in entries:
            said = "; ".join(f"{s['table']}:{s['match']}:{s['says']['en']}×{len(s['rows'])}" for s in e["sources"])
            danger = e["danger"]
            print(" | ".join([e["id"], e["scientific_name"], e["names"]["ko"][0], danger["level"], danger["matched"], said]))
    for line in bad:
        print(line, file=sys.stderr)
    counted: Dict[str, int] = {}
    for e in entries:
        counted[e["danger"]["level"]] = counted.get(e["danger"]["level"], 0) + 1
    print(f"{len(entries)} entries, {len(bad)} problems; " + ", ".join(f"{k} {v}" for k, v in sorted(counted.items())))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
