"""The picture on the README and the welcome page: a figure of a chapter, as it was executed."""

from __future__ import annotations

import base64
import sys

from tools import common, notebooks

CHAPTER, CELL = "4_fusion/early_and_late", "figure-witnesses"


def main() -> int:
    """Write `book/assets/cover.png` from the executed chapter."""
    notebook = notebooks.read(common.notebook_path(CHAPTER, common.EXECUTED))
    (cell,) = [c for c in notebook.cells if c.id == CELL]
    (picture,) = [o.data["image/png"] for o in cell.outputs if "image/png" in o.get("data", {})]
    target = common.BOOK / "assets" / "cover.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(base64.b64decode(picture))
    print(f"wrote {target.relative_to(common.ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
