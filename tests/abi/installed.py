# SPDX-License-Identifier: Apache-2.0
# Installs the build below a folder of its own and builds programs against it as a user would.
import argparse
import os
import shlex
import subprocess
import sys
import tempfile

STRICT = ["-pedantic", "-Wall", "-Wextra", "-Werror"]


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", required=True, help="the checkout")
    parser.add_argument("--build", required=True, help="the configured and built folder")
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--libdir", required=True)
    parser.add_argument("--cc", required=True)
    parser.add_argument("--cxx", required=True)
    parser.add_argument("--sanitize", default="none", help="what the library was built with")
    parser.add_argument("what", nargs="*")
    return parser.parse_args()


class Installed:
    """A fresh install; gone at the end of the with block."""

    def __init__(self, options):
        self.options = options
        self.extra = [] if options.sanitize == "none" else ["-fsanitize=" + options.sanitize]
        if self.extra and "clang" in options.cc:
            self.extra.append("-fsanitize-link-c++-runtime")

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="treering-installed-")
        self.root = self.folder.name
        stage = os.path.join(self.root, "stage")
        subprocess.run(
            ["meson", "install", "-C", self.options.build, "--no-rebuild", "--quiet",
             "--destdir", stage],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        self.prefix = stage + self.options.prefix
        path = os.path.join(self.prefix, self.options.libdir, "pkgconfig")
        before = os.environ.get("PKG_CONFIG_PATH")
        self.env = dict(os.environ, PKG_CONFIG_PATH=path + (":" + before if before else ""))
        return self

    def __exit__(self, *_):
        self.folder.cleanup()

    def pkg_config(self, *wanted):
        command = ["pkg-config", *wanted, "treering"]
        out = subprocess.run(command, check=True, env=self.env, stdout=subprocess.PIPE, text=True)
        return shlex.split(out.stdout)

    def compile(self, source, *flags, compiler=None):
        """Path of the program made of one source file, linked the way the documents say."""
        program = os.path.join(self.root, os.path.basename(source) + ".exe")
        subprocess.run(
            [*shlex.split(compiler or self.options.cc), *flags, *self.extra, source, "-o", program,
             *self.pkg_config("--static", "--cflags", "--libs")],
            check=True,
        )  # fmt: skip
        return program

    def run(self, command, **more):
        subprocess.run(command, check=True, cwd=self.root, env=self.env, **more)


def c11(here, folder):
    program = here.compile(os.path.join(folder, "c11_program.c"), "-std=c11", *STRICT)
    here.run([program, *here.pkg_config("--modversion")])


def cxx17(here, folder):
    source = os.path.join(folder, "cxx17_program.cc")
    program = here.compile(source, "-std=c++17", *STRICT, compiler=here.options.cxx)
    here.run([program, *here.pkg_config("--modversion")])


def examples(here, _):
    """The C examples compile against the install; what they print is the demo's affair."""
    folder = os.path.join(here.options.source, "bindings/c/examples")
    for name in sorted(os.listdir(folder)):
        if name.endswith(".c"):
            here.compile(os.path.join(folder, name), "-std=c11", *STRICT)


def subproject(here, _):
    """Another Meson project takes the checkout as a fallback, and is not asked for our tests' needs."""
    app = os.path.join(here.root, "app")
    os.makedirs(os.path.join(app, "subprojects"))
    os.symlink(here.options.source, os.path.join(app, "subprojects/treering"))
    with open(os.path.join(app, "meson.build"), "w", encoding="utf-8") as file:
        file.write("project('app', 'c')\ndependency('treering', fallback: 'treering')\n")
    done = subprocess.run(
        ["meson", "setup", "--wrap-mode=forcefallback", os.path.join(app, "build"), app],
        check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    if "cmocka" in done.stdout:
        sys.exit("a subproject configures its tests")


def main():
    options = arguments()
    with Installed(options) as here:
        for name in options.what:
            globals()[name](here, os.path.dirname(os.path.abspath(__file__)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
