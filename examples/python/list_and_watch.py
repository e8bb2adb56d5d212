"""Lists a cluster's namespaces, then follows a watch, both on one lane of a Fairlead relay."""

import argparse
import itertools
import json
import queue
import sys
import uuid
from pathlib import Path

import grpc
from fairlead.tunnel.v1alpha1.access_service_pb2 import DESCRIPTOR
from fairlead.tunnel.v1alpha1.exchange_pb2 import Header, RequestFrame, RequestHead, ResponseFrame, WholeRequest
from google.protobuf.json_format import MessageToDict


class Lane:
    """One call of AccessService.Exchange: it carries one exchange at a time and is then used again."""

    def __init__(self, channel, cluster, token_file):
        method = DESCRIPTOR.services_by_name["AccessService"].methods_by_name["Exchange"]
        path = f"/{method.containing_service.full_name}/{method.name}"
        exchange = channel.stream_stream(path, RequestFrame.SerializeToString, ResponseFrame.FromString)
        self.cluster, self.token_file, self.requests = cluster, token_file, queue.SimpleQueue()
        self.responses = exchange(iter(self.requests.get, None))

    def get(self, target):
        """Sends a GET and yields the body as it comes; once it is read to its end, the lane is free again."""
        token = self.token_file.read_bytes().strip()  # for each exchange anew, so a refreshed token counts at once
        headers = [Header(name="Accept", value=b"application/json")]
        headers.append(Header(name="Authorization", value=b"Bearer " + token))
        head = RequestHead(cluster=self.cluster, method="GET", target=target, headers=headers)
        head.exchange_id = uuid.uuid4().bytes
        self.requests.put(RequestFrame(whole=WholeRequest(head=head)))
        status = received = 0
        for response in self.responses:
            match kind := response.WhichOneof("frame"):
                case "ready" | "informational":
                    continue
                case "head":
                    status = response.head.status
                    continue
                case "whole":
                    status, piece = response.whole.head.status, response.whole.body
                case "data" | "end":
                    frame = getattr(response, kind)
                    if frame.offset != received:
                        sys.exit(f"bytes of the body are missing: a frame is at {frame.offset}, not {received}")
                    piece = frame.data
                case "error":  # after a head too: then what came of the body is not complete
                    error = MessageToDict(response.error, always_print_fields_with_no_presence=True)
                    sys.exit("{message} ({hop}, {code})".format_map(error))
                case _:
                    sys.exit("the relay sent a frame that this client does not know")
            if status != 200:
                sys.exit(f"{target}: HTTP {status}: {piece.decode(errors='replace').strip()}")
            received += len(piece)
            yield piece
            if kind in ("whole", "end"):
                return
        sys.exit("the relay ended the lane before the answer was complete")


def watch_events(pieces):
    """A watch's body is one JSON object a line; a line may span frames, and a frame may hold several."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from map(json.loads, lines)
    sys.exit("the apiserver ended the watch")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--relay", required=True, metavar="https://HOST:PORT")
    parser.add_argument("--relay-ca", required=True, type=Path, metavar="FILE", help="signed its certificate")
    parser.add_argument("--token-file", required=True, type=Path, metavar="FILE", help="holds your own token")
    parser.add_argument("--cluster", required=True, metavar="NAME")
    parser.add_argument("--watch", default="/api/v1/pods", metavar="PATH", help="what to watch (default: %(default)s)")
    parser.add_argument("--events", type=int, metavar="N", help="end after N events (default: when interrupted)")
    args = parser.parse_args()
    credentials = grpc.ssl_channel_credentials(args.relay_ca.read_bytes())
    with grpc.secure_channel(args.relay.removeprefix("https://"), credentials) as channel:
        lane = Lane(channel, args.cluster, args.token_file)
        for item in json.loads(b"".join(lane.get("/api/v1/namespaces")))["items"]:
            print("namespace", item["metadata"]["name"], flush=True)
        target = f"{args.watch}{'&' if '?' in args.watch else '?'}watch=true"
        for event in itertools.islice(watch_events(lane.get(target)), args.events):
            thing = event["object"]
            if event["type"] == "ERROR":
                sys.exit(f"{target}: {thing['message']}")
            print(event["type"], thing["kind"].lower(), thing["metadata"]["name"], flush=True)
    # Leaving the `with` resets the lane, which takes the watch back: an exchange ends early in no other way.


if __name__ == "__main__":
    try:
        main()
    except grpc.RpcError as error:  # the call itself failed, so no Error frame could come
        sys.exit(f"the lane failed: {error.details()} ({error.code().name})")
    except OSError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
