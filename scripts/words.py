"""Write which words a model that was trained on composed scenes was taught: python scripts/words.py MODEL"""

import json
import sys
from pathlib import Path

from lantu.data.names import world_concepts
from lantu.data.taught import taught_by_things
from lantu.files import write_text
from lantu.models.lantu.folder import LantuFolder
from lantu.tokens.words import RELATED, WORDS


def main() -> None:
    model = LantuFolder(Path(sys.argv[1]))
    data = model.index["data"]
    words, related = taught_by_things(world_concepts(data["world"]), data["styles"], data.get("placement", "slots"))
    for name, told in ((WORDS, words), (RELATED, related)):
        write_text(model.path / name, json.dumps(told, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
