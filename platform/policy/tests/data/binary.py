"""Writes the binary form of each XML sample in this folder: python3 binary.py"""

import pathlib
import plistlib

here = pathlib.Path(__file__).parent
for name in ["managed.plist", "jamf.mobileconfig"]:
    value = plistlib.loads((here / name).read_bytes())
    binary = plistlib.dumps(value, fmt=plistlib.FMT_BINARY, sort_keys=False)
    stem, ending = name.split(".")
    (here / f"{stem}-binary.{ending}").write_bytes(binary)
