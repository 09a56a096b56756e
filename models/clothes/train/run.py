"""One command from the clothes photos to a served model; the code is the plants' (models/plants/train).

    python models/clothes/train/run.py --data ../shared/data/clothes --out models/clothes/1
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "plants" / "train"))

from run import main  # noqa: E402  (the path must be known first; this file is __main__, so `run` is the plants')

if __name__ == "__main__":
    main("clothes")
