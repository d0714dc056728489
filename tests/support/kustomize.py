"""Builds a kustomization as far as the ones in `deploy/kubernetes` go; anything else is an error.

Unlike kustomize it puts no hash behind the names of what it generates, so references stay as they
are.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

Object = dict[str, Any]

_KNOWN: Final = frozenset(
    {
        "apiVersion",
        "configMapGenerator",
        "images",
        "kind",
        "labels",
        "namespace",
        "patches",
        "resources",
        "secretGenerator",
    }
)
#: By which of its fields an item of a list is known to a patch; other lists are replaced.
_MERGE_KEYS: Final = {
    "containers": "name",
    "env": "name",
    "ports": "containerPort",
    "volumeMounts": "mountPath",
    "volumes": "name",
}
_CLUSTER_WIDE: Final = frozenset({"Namespace"})


class NotUnderstood(Exception):
    """A kustomization asks for something that is not done here."""


def build(directory: Path) -> list[Object]:
    """Return the objects that `kubectl apply -k` would be given.

    Raises:
        NotUnderstood: something in it is not done here, or a patch has no object.
    """
    wanted: Object = yaml.safe_load((directory / "kustomization.yaml").read_text(encoding="utf-8"))
    if unknown := wanted.keys() - _KNOWN:
        raise NotUnderstood(f"{directory}: {', '.join(sorted(unknown))}")
    objects = [item for path in wanted.get("resources", ()) for item in _resource(directory / path)]
    for kind, field in (("ConfigMap", "configMapGenerator"), ("Secret", "secretGenerator")):
        for generator in wanted.get(field, ()):
            _generate(objects, kind, generator)
    for patch in wanted.get("patches", ()):
        (path,) = patch.values()
        for item in _documents(directory / path):
            _merge(_found(objects, item), item)
    for item in objects:
        for entry in wanted.get("labels", ()):
            _label(item, entry)
        for image in wanted.get("images", ()):
            _retag(item, image)
        if "namespace" in wanted and item["kind"] not in _CLUSTER_WIDE:
            item["metadata"]["namespace"] = wanted["namespace"]
    return objects


def pod_of(item: Object) -> Object | None:
    """Return an object's pod template, None if it has none."""
    template: Object | None = item.get("spec", {}).get("template")
    return template


def _resource(path: Path) -> list[Object]:
    return build(path) if path.is_dir() else list(_documents(path))


def _documents(path: Path) -> Iterator[Object]:
    yield from yaml.safe_load_all(path.read_text(encoding="utf-8"))


def _generate(objects: list[Object], kind: str, generator: Mapping[str, Any]) -> None:
    if generator.keys() - {"name", "literals", "behavior"}:
        raise NotUnderstood(f"the generator of {generator['name']}")
    data = dict(literal.split("=", 1) for literal in generator["literals"])
    made: Object = {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": generator["name"]},
        "data" if kind == "ConfigMap" else "stringData": data,
    }
    if generator.get("behavior") == "merge":
        _merge(_found(objects, made), made)
    else:
        objects.append(made)


def _found(objects: list[Object], like: Object) -> Object:
    for item in objects:
        if (item["kind"], item["metadata"]["name"]) == (like["kind"], like["metadata"]["name"]):
            return item
    raise NotUnderstood(f"there is no {like['kind']} {like['metadata']['name']} to change")


def _merge(into: Object, changes: Object) -> None:
    """Do as a strategic merge patch does."""
    for name, value in changes.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            _merge(into[name], value)
        elif name in _MERGE_KEYS and isinstance(into.get(name), list):
            into[name] = _merged(into[name], value, _MERGE_KEYS[name])
        else:
            into[name] = value


def _merged(old: list[Object], new: list[Object], key: str) -> list[Object]:
    known = {item[key]: item for item in old}
    added = []
    for item in new:
        if item[key] in known:
            _merge(known[item[key]], item)
        else:
            added.append(item)
    # What a patch adds comes first.
    return [*added, *old]


def _label(item: Object, entry: Mapping[str, Any]) -> None:
    if entry.keys() != {"pairs", "includeTemplates"}:
        raise NotUnderstood(f"labels with {', '.join(entry)}")
    claims = item["spec"].get("volumeClaimTemplates", ()) if "spec" in item else ()
    for place in (item, pod_of(item), *claims):
        if place is not None:
            place.setdefault("metadata", {}).setdefault("labels", {}).update(entry["pairs"])


def _retag(item: Object, image: Mapping[str, str]) -> None:
    for container in (pod_of(item) or {"spec": {"containers": []}})["spec"]["containers"]:
        if container["image"] == image["name"]:
            name = image.get("newName", image["name"])
            container["image"] = f"{name}:{image['newTag']}"
