"""What can go wrong with a lane's store.

::

    StoreFault
    ├── StoreBusy      somebody else has the store open
    └── StoreBroken    the file or its file system is not usable, or the store is closed

A fault is never about a mail: the store is a cache of the ledger and can be made again.
"""


class StoreFault(Exception):
    """Root of the tree."""


class StoreBusy(StoreFault):
    """The store is open elsewhere, in this process or another one, and was not let go in time."""


class StoreBroken(StoreFault):
    """The store cannot be used any more; what is opened next at its place is made from nothing."""
