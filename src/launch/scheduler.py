"""The process through which the ranks find each other (MS_ROLE=MS_SCHED); it ends when the last rank has left.

MindSpore lets any program take this role by calling `init`; this one does nothing else, so that no data is read for it.

MindSpore's scheduler trusts whoever connects: a stranger can register as a rank, and two short messages end a job. Nothing
here can change that. It listens at one address, MS_SCHED_HOST, which is loopback where all ranks are on one server; the
ranks listen for each other at the address from which they reached it. Between servers that network must be closed to others.
"""

import os


def main() -> None:
    """Waits for the ranks, then for their end."""
    os.environ.setdefault("GLOG_v", "3")
    import mindspore as ms

    from ..distributed.collectives import meet

    ms.set_device("CPU")
    meet()


if __name__ == "__main__":
    main()
