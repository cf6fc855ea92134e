"""What to tell an autoscaler, and when to wake somebody."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fastworker.errors import ImproperlyConfigured
from fastworker.plan.arrivals import HOURS
from fastworker.plan.inputs import Inputs
from fastworker.plan.sizing import nodes_by_formula
from fastworker.plan.target import WaitTarget
from fastworker.plan.workload import Workload

#: Nodes start, and pods are scheduled, within this time: an autoscaler sees a queue that much too late.
START_S = 60


@dataclass(frozen=True)
class Autoscale:
    """Settings for an autoscaler of nodes.

    Attributes:
        least: Nodes of the quietest hour.
        most: Nodes of the plan.
        by_hour: Nodes that each hour of the day needs, headroom for failures included.
        messages_per_node: The length of the queue for each node from which on another one is started.
        cooldown_s: How long to wait before one is taken away.
    """

    least: int
    most: int
    by_hour: tuple[int, ...]
    messages_per_node: int
    cooldown_s: int


@dataclass(frozen=True)
class Alert:
    """A threshold.

    Attributes:
        name: What is watched.
        above: From which value on it is wrong.
        unit: Of the value.
        for_s: For how long before somebody is told.
        why: What is behind it.
    """

    name: str
    above: float
    unit: str
    for_s: int
    why: str


def autoscale(inputs: Inputs, target: WaitTarget, nodes: int) -> Autoscale:
    """Settings for the plan's nodes."""
    lost = inputs.headroom.nodes_lost
    hours = []
    for hour in range(HOURS):
        workload = inputs.workload(hour)
        if workload.rate <= 0:
            hours.append(1)
            continue
        try:
            needed = nodes_by_formula(workload, inputs.layout, target) + lost
        except ImproperlyConfigured:
            needed = nodes
        hours.append(min(nodes, needed))
    return Autoscale(
        min(hours),
        nodes,
        tuple(hours),
        messages_within(inputs.workload(inputs.peak_hour), inputs, target.within_s),
        300,
    )


def messages_within(workload: Workload, inputs: Inputs, within_s: float) -> int:
    """What one node gets through in that time."""
    each_s = workload.utilisation(inputs.layout.with_nodes(1)) / workload.rate
    return max(1, math.floor(within_s / max(each_s, 1e-9)))


def alerts(inputs: Inputs, target: WaitTarget, nodes: int, bears: float) -> list[Alert]:
    """Thresholds for the plan.

    Args:
        inputs: Of the plan.
        target: The wait.
        nodes: Of the plan.
        bears: At how many times the peak the target is missed.
    """
    peak = inputs.workload(inputs.peak_hour)
    use = peak.slot_load / (nodes * inputs.node.slots)
    return [
        Alert("age of the oldest message", target.within_s, "s", 60, "the target is missed"),
        Alert(
            "messages in the queue",
            nodes * messages_within(peak, inputs, target.within_s),
            "messages",
            60,
            "all nodes together take as long as the target for them",
        ),
        Alert(
            "busy slots", min(0.99, use * bears), "share", 300, "from here on the target is missed"
        ),
        Alert("arrivals", peak.rate * bears, "/s", 300, "the same, seen from the other end"),
        Alert("broker memory", inputs.broker.most_use, "share", 60, "the rest is for an outage"),
        Alert("dead letters", 0, "messages", 0, "each is a task that will not run"),
    ]


def keda_yaml(
    inputs: Inputs, scale: Autoscale, name: str = "fastworker", queue: str = "celery"
) -> str:
    """A ScaledObject of KEDA for a Deployment of workers."""
    if inputs.broker.kind == "redis":
        trigger = f"""    - type: redis
      metadata:
        addressFromEnv: REDIS_ADDRESS  # host:port
        listName: {queue}
        listLength: "{scale.messages_per_node}"
        activationListLength: "0\""""
    else:
        trigger = f"""    - type: rabbitmq
      metadata:
        hostFromEnv: RABBITMQ_URL  # amqp://user:password@host:5672/vhost
        queueName: {queue}
        mode: QueueLength
        value: "{scale.messages_per_node}\""""
    return f"""apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: {name}
spec:
  scaleTargetRef:
    name: {name}
  minReplicaCount: {scale.least}
  maxReplicaCount: {scale.most}
  pollingInterval: 5
  cooldownPeriod: {scale.cooldown_s}
  triggers:
{trigger}
"""
