"""`mailcascade suppress`, `unsuppress` and `suppressions`: recipients that get no more mail."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from console.cluster import Cluster
from console.demands import Demands
from console.failures import CommandFailed, ExitCode
from console.operator import named_recipient
from console.suppression_list import Survey, from_json, survey, to_json, to_record
from retry_topics.topology import Topology
from schemas.addresses import parse_address
from schemas.errors import InvalidAddress
from schemas.instants import show_instant

Print = Callable[[str], None]

_SHOWN_PROBLEMS: Final = 10


def suppress(demands: Demands, address: str, show: Print) -> None:
    """Ask that a recipient gets no more mail.

    Raises:
        CommandFailed: the text is no address.
    """
    demands.suppress([named_recipient(address)])
    show("asked for: mails to this recipient that are not sent yet will not be")


def unsuppress(demands: Demands, address: str, show: Print) -> None:
    """Ask that a recipient gets mail again.

    Raises:
        CommandFailed: the text is no address.
    """
    demands.unsuppress([named_recipient(address)])
    show("asked for: this recipient gets mail again; what was suppressed stays unsent")


def suppress_file(
    demands: Demands, cluster: Cluster, topology: Topology, path: Path, show: Print
) -> None:
    """Suppress every recipient in a file: one address a line, or what `suppressions --json` prints.

    Raises:
        CommandFailed: it cannot be read or holds something else, or workers run that would not
            see what it holds; nothing was written.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"{path}: cannot be read: {error}", ExitCode.WRONG_SETTING) from error
    if not text.lstrip().startswith("["):
        addresses = _addresses(text, path)
        demands.suppress(addresses)
        show(f"asked for: {len(addresses)} recipients get no more mail")
        return
    try:
        listed = from_json(text)
    except ValueError as error:
        raise CommandFailed(f"{path}: {error}", ExitCode.WRONG_SETTING) from error
    _nobody_works(cluster, topology)
    partitions = cluster.partitions(topology.suppressions)
    cluster.write([to_record(one, topology.suppressions, partitions) for one in listed])
    show(f"{len(listed)} suppressions written")


def show_suppressions(cluster: Cluster, topology: Topology, as_json: bool, show: Print) -> None:
    """Show the suppressed recipients, masked."""
    found = _survey(cluster, topology)
    if as_json:
        show(to_json(found.suppressed))
        return
    for one in found.suppressed:
        said = one.suppression
        by = f" ({said.by})" if said.by else ""
        show(f"{show_instant(said.at)}  {said.masked}  {said.reason or '-'}{by}")
    show(f"{len(found.suppressed)} suppressed recipients")
    if found.moves:
        show(
            f"{len(found.moves)} of them stand in a wrong lane, where no worker heeds them: "
            "mailcascade suppressions relocate"
        )
    if found.unreadable:
        show(f"{found.unreadable} records cannot be read")


def relocate(cluster: Cluster, topology: Topology, show: Print) -> None:
    """Move suppressions to the lanes that their recipients have with as many partitions as now.

    Raises:
        CommandFailed: workers run, which would not see the change; nothing was written.
    """
    _nobody_works(cluster, topology)
    found = _survey(cluster, topology)
    # A removal before its move would lift the suppression if the command ended in between.
    cluster.write(found.moves)
    cluster.write(found.removals)
    if not found.moves and not found.removals:
        show("nothing to do")
        return
    show(f"{len(found.moves)} suppressions moved, {len(found.removals)} records taken away")


def _nobody_works(cluster: Cluster, topology: Topology) -> None:
    """Make sure that no worker owns a lane: a worker reads its suppressions when it gets one."""
    if workers := cluster.members(topology.group):
        raise CommandFailed(
            f"nothing was changed: {workers} workers are running, and would not see the change; "
            "stop them, and start them again afterwards"
        )


def _survey(cluster: Cluster, topology: Topology) -> Survey:
    topic = topology.suppressions
    return survey(cluster.records(topic), topic, cluster.partitions(topic))


def _addresses(text: str, path: Path) -> Sequence[str]:
    addresses: dict[str, None] = {}
    problems: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        content = line.strip()
        if not content or content.startswith("#"):
            continue
        try:
            addresses[parse_address(content)] = None
        except InvalidAddress as error:
            problems.append(f"{path}:{number}: {error}")
    if problems:
        more = len(problems) - _SHOWN_PROBLEMS
        told = problems[:_SHOWN_PROBLEMS] + ([f"and {more} more"] if more > 0 else [])
        raise CommandFailed("\n".join(told), ExitCode.WRONG_SETTING)
    return list(addresses)
