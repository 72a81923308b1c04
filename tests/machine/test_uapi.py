# SPDX-License-Identifier: MIT
"""Our copy of the kernel's interface against the headers of a current kernel: the built one.

The unit test "uapi" compares with the headers that are installed, which know no iommufd.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from vfiocore.lab import kernels

ROOT = Path(__file__).resolve().parents[2]


def test_every_number_size_and_offset(tmp_path: Path) -> None:
    tree = kernels.headers(kernels.find("built"))
    (tmp_path / "linux").mkdir()
    for name in ("vfio.h", "iommufd.h", "kvm.h"):
        shutil.copy(tree / "include" / "uapi" / "linux" / name, tmp_path / "linux")
    (tmp_path / "asm").mkdir()
    shutil.copy(tree / "arch/x86/include/uapi/asm/kvm.h", tmp_path / "asm")
    (tmp_path / "linux/compiler.h").touch()  # taken out, too
    program = tmp_path / "uapi"
    sources = [ROOT / "tests/unit" / name for name in ("uapi.c", "uapi_kernel.c")]
    includes = [tmp_path, ROOT / "libvfiocore/src", ROOT / "libvfiocore/include"]
    libraries = [ROOT / "build/libvfiocore/libvfiocore.a", "-lpthread"]
    # Annotations that the kernel takes out when it exports its headers.
    annotations = ["-D__user=", "-D__counted_by(x)="]
    words = ["cc", "-DUAPI_IOMMUFD", "-D_GNU_SOURCE", *annotations]
    words += [f"-I{path}" for path in includes]
    words += ["-idirafter", str(tree / "include/uapi")]  # what the installed ones lack
    subprocess.run([*words, "-o", program, *sources, *libraries], check=True)
    subprocess.run([program], check=True)


def test_no_iommufd_request_is_missing() -> None:
    def requests(header: Path) -> set[str]:
        return set(re.findall(r"#define (IOMMU_\w+)[\s\\]+_IO\(", header.read_text()))

    tree = kernels.headers(kernels.find("built"))
    kernel = requests(tree / "include/uapi/linux/iommufd.h")
    assert len(kernel) >= 22
    assert kernel == requests(ROOT / "libvfiocore/src/kernel/iommufd.h")


def test_sizes_in_the_documents(tmp_path: Path) -> None:
    text = (ROOT / "docs/kernel-interface.md").read_text()
    sizes = re.findall(r"\| `(iommu_\w+)`, (\d+) \|", text)
    assert len(sizes) == 12
    tree = kernels.headers(kernels.find("built"))
    (tmp_path / "linux").mkdir()
    shutil.copy(tree / "include/uapi/linux/iommufd.h", tmp_path / "linux")
    claims = [f'_Static_assert(sizeof(struct {name}) == {size}, "{name}");' for name, size in sizes]
    source = "\n".join(["#include <linux/iommufd.h>", *claims, ""])
    command = ["cc", "-fsyntax-only", f"-I{tmp_path}", "-x", "c", "-"]
    subprocess.run(command, input=source, text=True, check=True)
