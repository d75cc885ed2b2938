# ruff: noqa: F821
# Freezes Microdot into firmware. The manifest of a board names it so:
#
#     include("/path/to/microdot/manifest.py")                                   the core and all extensions
#     include("/path/to/microdot/manifest.py", extensions=False)                 the core alone
#     include("/path/to/microdot/manifest.py", extensions=["session", "sse"])    these, with what they need
#
# or, where the folder of this file is named "microdot" and lies in a library of the board:
#
#     add_library("ours", "/path/to")
#     require("microdot", library="ours", extensions=False)
#
# Which modules these are, the descriptions for mip know: they are made from the imports (tools/board_packages.py).
import json


def describe(name):
    with open(name) as description:  # paths are relative to this file
        return json.load(description)


def files_in(name):
    return {target.partition("/")[2] for target, _ in describe(name)["urls"]}


if metadata().version is None:  # the manifest that includes this one may have told its own, and twice is an error
    metadata(
        description="A web framework in the spirit of Flask that fits on a microcontroller",
        version=describe("package.json")["version"],
        license="MIT",
    )
options.defaults(extensions=True)
if options.extensions is True:
    files = files_in("package.json")
else:
    files = files_in("src/core.json").union(*[files_in(f"src/{name}.json") for name in options.extensions or ()])

# Without assertions and line numbers (opt=3), as in the release of compiled modules.
package("microdot", files=sorted(files), base_path="src", opt=3)
