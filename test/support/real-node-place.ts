import { once } from "node:events";
import { existsSync } from "node:fs";
import { glob, readdir, rmdir } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { eventually } from "./eventually.ts";
import { runProgram } from "./program.ts";

/** More than one at a time: test runs of several checkouts, or jest's workers. */
const mostNodes = 16;

/** What one node has for itself on this machine: its name, which its link and cgroups bear too, and its addresses. */
export interface Place {
  readonly name: string;
  /** The variables of test/testbed/node/node.sh. */
  readonly addresses: Readonly<Record<"HOST_IP" | "NODE_IP" | "PODS" | "SERVICES" | "API_IP" | "DNS_IP", string>>;
  /** Gives the network of this process a link to that of the machine, and ways from here to pods and Services. */
  connect(pid: number): Promise<void>;
  /** Takes away what the kernel leaves when a node's processes are gone, and the claim to the place. */
  leave(): Promise<void>;
}

/**
 * Claims the first place that no living process has, and clears what a dead one has left there. The claim is an abstract
 * socket, which the kernel takes away with its process.
 */
export async function claimPlace(): Promise<Place> {
  for (let number = 0; number < mostNodes; number++) {
    const claim = await listen(`\0fairlead-node-${number}`);
    if (claim) {
      const place = placeOf(number, claim);
      await clear(place.name);
      return place;
    }
  }
  throw new Error(`${mostNodes} nodes run on this machine already`);
}

async function listen(name: string): Promise<Server | undefined> {
  const server = createServer().listen(name).unref();
  try {
    await once(server, "listening");
    return server;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EADDRINUSE") return undefined;
    throw error;
  }
}

function placeOf(number: number, claim: Server): Place {
  const name = `fairlead${number}`;
  const addresses = {
    HOST_IP: `10.213.${number}.1`,
    NODE_IP: `10.213.${number}.2`,
    PODS: `10.214.${number}.0/24`,
    SERVICES: `10.215.${number}.0/24`,
    API_IP: `10.215.${number}.1`,
    DNS_IP: `10.215.${number}.10`,
  };
  return {
    name,
    addresses,
    connect: async (pid) => {
      await ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", String(pid));
      await ip("addr", "add", `${addresses.HOST_IP}/24`, "dev", name);
      await ip("link", "set", name, "up");
      await ip("route", "add", addresses.PODS, "via", addresses.NODE_IP);
      await ip("route", "add", addresses.SERVICES, "via", addresses.NODE_IP);
    },
    leave: async () => {
      await clear(name);
      claim.close();
    },
  };
}

const ip = (...args: string[]): Promise<string> => runProgram({ file: "ip", args });

/** A link goes with its network some time after the last process: not waiting for that, the next node has its name at once. */
async function clear(name: string): Promise<void> {
  if (existsSync(`/sys/class/net/${name}`)) {
    // It may have gone by itself just now.
    await ip("link", "del", name).catch(() => undefined);
  }
  // One folder with cgroup v2; one in each hierarchy with v1.
  for await (const cgroup of glob([`/sys/fs/cgroup/${name}`, `/sys/fs/cgroup/*/${name}`])) {
    await eventually(() => removeCgroup(cgroup), { what: `${cgroup} to be without processes` });
  }
}

/** Inner ones first; false while one still has processes that are on their way out. */
async function removeCgroup(path: string): Promise<boolean> {
  for (const entry of await readdir(path, { withFileTypes: true })) {
    if (entry.isDirectory() && !(await removeCgroup(join(path, entry.name)))) return false;
  }
  return rmdir(path).then(
    () => true,
    () => !existsSync(path),
  );
}
