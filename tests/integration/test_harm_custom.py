# SPDX-License-Identifier: Apache-2.0
"""What heap profiles must not do to a target custom ones must not either, beside them: here with
traffic of descriptors, mappings, threads and libraries."""
import test_harm_heap
from support import main


class Harm(test_harm_heap.Harm):
    TYPES = "heap,fd,mmap,thread,dlopen"
    WORDS = ("fds", "fds")

    def test_waiting_calls(self):
        self.TYPES = "heap,fd,thread"
        super().test_waiting_calls()


if __name__ == "__main__":
    main()
