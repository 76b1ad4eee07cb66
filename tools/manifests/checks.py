"""What must hold between the manifests, and of each by the schemas; one sentence for each fault."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tools.manifests import containers
from tools.manifests.containers import Workload
from tools.manifests.kustomizations import Built, ManifestError, Resource


def faults(built: Built) -> Iterator[str]:
    """Say in one sentence each what is wrong; of what does not fit the schemas, nothing more is looked at."""
    from tools.manifests.schemas import misfits  # noqa: PLC0415 - a second, for each process that collects the tests

    unfit = list(misfits(built))
    yield from unfit
    if unfit:
        return
    workloads = [Workload.of(resource) for resource in built.resources if "template" in resource.spec]
    for check in (_selectors, _names, _ports, _backends, containers.faults):
        yield from check(built, workloads)


def _selectors(built: Built, workloads: list[Workload]) -> Iterator[str]:
    for resource in built.resources:
        for what, selector, candidates in _selections(resource, workloads):
            if not _selected(selector, candidates):
                yield f"{resource}: its {what} matches no pod."


def _selections(
    resource: Resource, workloads: list[Workload]
) -> Iterator[tuple[str, dict[str, Any], list[Workload]]]:
    """Return what each selector of ``resource`` is called, the selector, and what it should find one of."""
    spec = resource.spec
    match resource.kind:
        case "Service":
            yield "selector", {"matchLabels": spec["selector"]}, workloads
        case "PodDisruptionBudget":
            yield "selector", spec["selector"], workloads
        case "Deployment":
            own = [workload for workload in workloads if workload.resource is resource]
            yield "selector", spec["selector"], own
            for constraint in own[0].pod.get("topologySpreadConstraints", ()):
                yield "topologySpreadConstraints", constraint["labelSelector"], own
        case "NetworkPolicy":
            yield "podSelector", spec["podSelector"], workloads
            for direction, peer, _ in _peers(resource):
                if _is_ours(peer):
                    yield f"podSelector of {direction}", peer["podSelector"], workloads
        case _:
            pass


def _selected(selector: dict[str, Any], workloads: Iterable[Workload]) -> list[Workload]:
    labels = selector.get("matchLabels", {}).items()
    expressions = selector.get("matchExpressions", ())
    if unknown := [each["operator"] for each in expressions if each["operator"] != "In"]:
        raise ManifestError(f"A selector has the operator {unknown[0]}: this check knows In alone.")
    return [
        workload
        for workload in workloads
        if labels <= workload.labels.items()
        and all(workload.labels.get(each["key"]) in each["values"] for each in expressions)
    ]


def _peers(policy: Resource) -> Iterator[tuple[str, dict[str, Any], list[dict[str, Any]]]]:
    """Return the direction, the other end and the ports of each rule of a NetworkPolicy."""
    for direction, end in (("ingress", "from"), ("egress", "to")):
        for rule in policy.spec.get(direction, ()):
            for peer in rule.get(end, [{}]):
                yield direction, peer, rule.get("ports", [])


def _is_ours(peer: dict[str, Any]) -> bool:
    """Say whether the other end of a rule is in this namespace."""
    return "podSelector" in peer and "namespaceSelector" not in peer


def _names(built: Built, workloads: list[Workload]) -> Iterator[str]:
    for workload in workloads:
        account = workload.pod.get("serviceAccountName")
        if account not in built.named("ServiceAccount"):
            yield f"{workload.resource}: there is no ServiceAccount {account}."
    for scaler in built.named("HorizontalPodAutoscaler").values():
        target = scaler.spec["scaleTargetRef"]
        if target["name"] not in built.named(target["kind"]):
            yield f"{scaler}: there is no {target['kind']} {target['name']}."


def _ports(built: Built, workloads: list[Workload]) -> Iterator[str]:
    for workload in workloads:
        for probe in workload.probes:
            yield from _missing(workload.resource, probe["port"], [workload])
    for service in built.named("Service").values():
        for port in service.spec["ports"]:
            pods = _selected({"matchLabels": service.spec["selector"]}, workloads)
            yield from _missing(service, port.get("targetPort", port["port"]), pods)
    for policy in built.named("NetworkPolicy").values():
        for direction, peer, ports in _peers(policy):
            if direction == "ingress":
                pods = _selected(policy.spec["podSelector"], workloads)
            else:
                pods = _selected(peer["podSelector"], workloads) if _is_ours(peer) else []
            for port in ports:
                yield from _missing(policy, port["port"], pods)


def _backends(built: Built, workloads: list[Workload]) -> Iterator[str]:  # noqa: ARG001
    services = built.named("Service")
    for ingress in built.named("Ingress").values():
        for path in (path for rule in ingress.spec["rules"] for path in rule["http"]["paths"]):
            wanted = path["backend"]["service"]
            found = services[wanted["name"]].spec["ports"] if wanted["name"] in services else []
            if wanted["port"].get("name") not in {port.get("name") for port in found}:
                yield f"{ingress}: there is no Service {wanted['name']} with a port {wanted['port'].get('name')}."


def _missing(resource: Resource, port: str | int, workloads: list[Workload]) -> Iterator[str]:
    for workload in workloads:
        if port not in {*workload.ports, *workload.ports.values()}:
            yield f"{resource}: {workload.resource.kind} {workload.resource.name} has no port {port}."
