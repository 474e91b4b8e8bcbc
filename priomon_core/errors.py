"""The errors of the core: one base class, so that a driver can survive all of them in one place."""


class PriomonError(Exception):
    """Base of every error that PrioMon raises on purpose."""


class SettingError(PriomonError, ValueError):
    """A setting is outside what it may be; nothing was changed."""


class SampleError(PriomonError, ValueError):
    """A sample cannot be published (wrong number of values, or a negative value of an unsigned metric); it was dropped."""


class WireError(PriomonError, ValueError):
    """A datagram could not be read; it was dropped and no state changed. `cause` is a word to count it by."""

    def __init__(self, explanation: str, cause: str = "malformed") -> None:
        super().__init__(explanation)
        self.cause = cause


class VersionOverflowError(PriomonError, OverflowError):
    """An origin has published more versions than a row can number; the publication did not happen."""


class QueryError(PriomonError, ValueError):
    """A read cannot begin: its target is not known here, or its level needs more nodes than there are; nothing was sent."""
