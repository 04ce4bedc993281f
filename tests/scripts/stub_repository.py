"""A copy of scripts/setup_env.sh in a repository of its own that sees only stub interpreters, for its tests.

A stub is a shell script that runs the probe as another Python would answer it, answers `-m venv` and `-m pip`, and puts
a stub of uv into .venv. What pip and uv were called with is written down.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
# The commands that the script, and the stubs below, may use.
TOOLS = [
    "awk", "bash", "cat", "cp", "cut", "dirname", "flock", "grep", "mkdir", "paste", "rm", "sed", "sleep", "touch",
]  # fmt: skip

# An interpreter. Inside .venv it becomes the environment's Python, so every answer comes from its own text, which
# `Repository.add_python` fills in: FAKE (what makes the probe see another Python), PIP and UV (shell commands).
STUB = r"""#!/bin/bash
case "$*" in
  "-c "*) exec 'REAL' -I -c "FAKE; exec(sys.argv[1])" "$2" ;;
  "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
  "-m pip config list") echo "${PIP_SETTINGS-}" ;;
  "-m pip install "*)
    echo "${PIP_TARGET-}${PYTHONPATH-}$*" >>"$CALLS_OF_PIP"
    PIP
    cat >"$(dirname "$0")/uv" <<'END'
#!/bin/bash
has=$(dirname "$0")/../has # the lock file that was installed last
case "$*" in
  --version) ;;
  "pip install --check "*) [[ -e $has ]] && ! grep -qvxFf "$has" "${@: -1}" ;;
  "pip sync "*)
    echo "${UV_PYTHON-}${PYTHONPATH-}$*" >>"$CALLS_OF_UV"
    UV
    cp "${@: -1}" "$has" ;;
  *) exit 9 ;;
esac
END
    chmod +x "$(dirname "$0")/uv" ;;
  *) exit 9 ;;
esac
"""


class Repository:
    """A repository folder with a blank in its name, a controlled PATH and a home without Pythons."""

    def __init__(self, folder: Path):
        self.root = folder / "my repo"
        self.bin = folder / "bin"
        self.calls = {tool: folder / f"{tool} calls" for tool in ("pip", "uv")}
        self.venv = self.root / ".venv"
        (self.root / "scripts" / "lib").mkdir(parents=True)
        self.bin.mkdir()
        for tool in (*TOOLS, "chmod"):
            (self.bin / tool).symlink_to(shutil.which(tool))
        self.add_tool("df", self.free_disk(99_999))
        for name in ("setup_env.sh", "lib/registry.sh"):
            shutil.copy(SCRIPTS / name, self.root / "scripts" / name)
        # The real usual places may hold a real Python: search an empty folder instead.
        places, script = f"local places=('{folder}')\n", SCRIPTS / "lib" / "find_python.sh"
        text, count = re.subn(r"local places=\(.*?\)\n", places, script.read_text(), flags=re.DOTALL)
        assert count == 1
        (self.root / "scripts" / "lib" / "find_python.sh").write_text(text)
        self.lock("requirements.txt", "numpy==1.26.4")
        self.lock("requirements-dev.txt", "numpy==1.26.4", "pytest==9.2.0", "uv==0.1")

    def lock(self, name: str, *pins: str) -> None:
        """Writes a lock file as uv does."""
        lines = [f"{pin} \\\n    --hash=sha256:{pin} \\\n    --hash=sha256:{pin}2" for pin in pins]
        (self.root / name).write_text("# made by a test\n" + "\n".join(lines) + "\n")

    @staticmethod
    def free_disk(megabytes: int) -> str:
        return f"echo 'Filesystem 1M-blocks Used Available Use% Mounted'; echo '/dev/x 9 9 {megabytes} 9% /'"

    def add_tool(self, name: str, command: str) -> Path:
        path = self.bin / name
        path.write_text(f"#!/bin/bash\n{command}\n")
        path.chmod(0o755)
        return path

    def add_python(self, name, version="3.11.7", bits=64, kind="CPython", missing="", pip="true", uv="true", folder=None):
        path = (folder or self.bin) / name
        numbers = tuple(int(part) for part in version.split("."))
        fake = (
            f"import platform, sys; sys.version_info = {numbers}; sys.maxsize = 2 ** {bits - 1} - 1; "
            f"platform.python_version = lambda: '{version}'; platform.python_implementation = lambda: '{kind}'; "
            f"sys.modules.update(dict.fromkeys('{missing}'.split()))"
        )
        text = STUB.replace("REAL", sys.executable).replace("FAKE", fake)
        path.write_text(text.replace("    PIP\n", f"    {pip}\n").replace("    UV\n", f"    {uv}\n"))
        path.chmod(0o755)
        return path

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        command = [str(self.bin / "bash"), str(self.root / "scripts" / "setup_env.sh"), *arguments]
        env = {**self.environment(), **environment}
        return subprocess.run(command, env=env, cwd="/", capture_output=True, text=True, timeout=30, check=False)

    def environment(self) -> dict:
        calls = {f"CALLS_OF_{tool.upper()}": str(file) for tool, file in self.calls.items()}
        return {"PATH": str(self.bin), "HOME": str(self.root.parent), **calls}

    def calls_of(self, tool: str) -> list:
        """The command lines of "pip" or "uv" that install something."""
        return self.calls[tool].read_text().splitlines() if self.calls[tool].exists() else []


def assert_fails(result, *parts: str) -> None:
    """One line on stderr in the house style, with all parts, and a non-zero exit code."""
    lines = result.stderr.splitlines()
    assert result.returncode != 0 and len(lines) == 1, result.stderr
    assert re.fullmatch(r"setup_env: .+: got .+; expected .+\. .+", lines[0]), lines[0]
    for part in parts:
        assert part in lines[0]


def assert_silent(result) -> None:
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
