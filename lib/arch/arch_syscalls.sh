#!/bin/sh
# Writes the names of the system calls of the CPU that a compiler builds for, as C initializers.
# usage: arch_syscalls.sh OUTPUT COMPILER…
set -eu
out=$1
shift
echo '#include <asm/unistd.h>' | "$@" -E -dM - |
	sed -n 's/^#define __NR_\([a-z0-9_]*\) \([0-9]\{1,\}\)$/[\2] = "\1",/p' | sort >"$out"
[ -s "$out" ]
