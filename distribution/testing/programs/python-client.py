# What applications in Python do, by the official client, in the namespace that is given: a line for each thing that worked.
import sys

from kubernetes import client, config, watch

namespace = sys.argv[1]
config.load_kube_config()
core = client.CoreV1Api()


def settings(name, **data):
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name, labels={"app": "story"}), data=data)


for name in ("a", "b", "c"):
    core.create_namespaced_config_map(namespace, settings(name))
page = core.list_namespaced_config_map(namespace, label_selector="app=story", limit=2)
assert [item.metadata.name for item in page.items] == ["a", "b"] and page.metadata._continue
print("lists")

seen = []
start = core.list_namespaced_config_map(namespace).metadata.resource_version
core.delete_namespaced_config_map("a", namespace)
core.replace_namespaced_config_map("b", namespace, settings("b", n="1"))
for event in watch.Watch().stream(
    core.list_namespaced_config_map, namespace, resource_version=start, label_selector="app=story", timeout_seconds=20
):
    seen.append((event["type"], event["object"].metadata.name))
    if len(seen) == 2:
        break
assert seen == [("DELETED", "a"), ("MODIFIED", "b")], seen
print("watches")

assert core.patch_namespaced_config_map("c", namespace, {"data": {"n": "2"}}).data == {"n": "2"}
try:
    core.read_namespaced_pod("nobody", namespace)
    raise AssertionError("nobody is there")
except client.ApiException as error:
    assert error.status == 404
print("patches")
