"""A client in Python on the official `kubernetes` package, with a kubeconfig alone: what it asks is in ../README.md."""

import functools
import json
import sys

from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.stream import stream
from kubernetes.stream.ws_client import ERROR_CHANNEL


def main() -> int:
    if len(sys.argv) < 4:
        sys.exit("usage: FILE list|watch|exec NAMESPACE [POD COMMAND...]")
    file, what, namespace, *more = sys.argv[1:]
    config.load_kube_config(file)
    api = client.CoreV1Api()
    match what, more:
        case "list", []:
            return list_config_maps(api, namespace)
        case "watch", []:
            return watch_config_maps(api, namespace)
        case "exec", [pod, *command]:
            return run(api, namespace, pod, command)
    sys.exit(f"there is no {what} with these arguments")


def list_config_maps(api: client.CoreV1Api, namespace: str) -> int:
    """Lists once, and again for each line that it is given."""
    while True:
        try:
            found = api.list_namespaced_config_map(namespace).items
            print(*(each.metadata.name for each in found), flush=True)
        except ApiException as error:
            print(json.loads(error.body)["message"], flush=True)
        if not sys.stdin.readline():
            return 0


def watch_config_maps(api: client.CoreV1Api, namespace: str) -> int:
    @functools.wraps(api.list_namespaced_config_map)  # Watch reads from its docstring what it lists
    def open_watch(*args, **options):
        response = api.list_namespaced_config_map(*args, **options)
        print("open", flush=True)  # there is a head, which says nothing of events yet
        return response

    version = api.list_namespaced_config_map(namespace).metadata.resource_version
    for event in watch.Watch().stream(open_watch, namespace, resource_version=version):
        print(event["type"], event["object"].metadata.name, flush=True)
    return 0


def run(api: client.CoreV1Api, namespace: str, pod: str, command: list[str]) -> int:
    running = stream(
        api.connect_get_namespaced_pod_exec,
        pod,
        namespace,
        command=command,
        stdout=True,
        stderr=False,
        _preload_content=False,  # else all is one text, without the exit code
    )
    while running.is_open():
        sys.stdout.write(running.read_stdout(timeout=1) or "")
    return exit_code(json.loads(running.read_channel(ERROR_CHANNEL) or "{}"))


def exit_code(status: dict) -> int:
    """Not `running.returncode`, which knows nothing but exit codes and fails on each other Status."""
    if status.get("status") == "Success":
        return 0
    for cause in status.get("details", {}).get("causes", []):
        if cause.get("reason") == "ExitCode":
            return int(cause["message"])
    sys.exit(status.get("message", "the command's connection ended without a status"))


sys.exit(main())
