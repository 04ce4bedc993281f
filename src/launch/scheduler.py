"""The process through which the ranks find each other (MS_ROLE=MS_SCHED); it ends when the last rank has left.

MindSpore lets any program take this role by calling `init`; this one does nothing else, so that no data is read for it.
"""

import os


def main() -> None:
    """Waits for the ranks, then for their end."""
    os.environ.setdefault("GLOG_v", "3")
    import mindspore as ms
    from mindspore import communication

    ms.set_device("CPU")
    communication.init()


if __name__ == "__main__":
    main()
