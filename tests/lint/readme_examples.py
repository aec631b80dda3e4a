# SPDX-License-Identifier: Apache-2.0
# Runs the README's examples: the C ones against an installed library, the Python ones against the binding.
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../abi"))
import installed  # noqa: E402

SKIP = 77
EXTENSION = {"c": ".c", "python": ".py"}


def blocks(text, language):
    """The fenced blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def has_binding(python):
    """True if that interpreter finds treering from a folder that is not the checkout's."""
    command = [python, "-c", "import treering"]
    return subprocess.run(command, cwd="/", stderr=subprocess.DEVNULL).returncode == 0


def main():
    options = installed.arguments()
    (language,) = options.what
    with open(os.path.join(options.source, "README.md"), encoding="utf-8") as file:
        examples = blocks(file.read(), language)
    python = os.environ.get("TREERING_TEST_PYTHON", sys.executable)
    if not examples:
        print(f"the README has no {language} example")
        return 1
    if language == "python" and not has_binding(python):
        print("no binding to run the example with")
        return SKIP
    with installed.Installed(options) as here:
        for number, text in enumerate(examples):
            path = os.path.join(here.root, f"example{number}{EXTENSION[language]}")
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            if language == "c":
                here.run([here.compile(path, "-std=c11", *installed.STRICT)])
            else:
                here.run([python, path])
    return 0


if __name__ == "__main__":
    sys.exit(main())
