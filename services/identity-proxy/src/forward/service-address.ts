import { BlockList, isIP } from "node:net";
import { type ServicePort, servicePortText } from "@fairlead/authorization";
import { ErrorCode, FairleadError, Hop } from "@fairlead/protocol";

/** Types whose Services have an address of the cluster's own. ExternalName is a host name of anybody's. */
const IN_CLUSTER = new Set(["ClusterIP", "NodePort", "LoadBalancer"]);

/**
 * What is never a Service's address, whatever an object says: this machine, its link (where clouds have their metadata,
 * 169.254.169.254), groups and what is reserved. An IPv4 address in the form of IPv6 would be a second way to say these.
 */
const NEVER = {
  ipv4: subnets("ipv4", "0.0.0.0/8 127.0.0.0/8 169.254.0.0/16 224.0.0.0/3"),
  // The last two are where clouds have their metadata in IPv6.
  ipv6: subnets("ipv6", "::/96 ::ffff:0:0/96 64:ff9b::/96 fe80::/10 ff00::/8 fd00:ec2::/32 fd20:ce::/32"),
};

/** One list for each family: node holds an IPv4 address to lists of IPv6 too, in which all of them are. */
function subnets(family: "ipv4" | "ipv6", nets: string): BlockList {
  const list = new BlockList();
  for (const net of nets.split(" ")) {
    const [address = "", bits] = net.split("/");
    list.addSubnet(address, Number(bits), family);
  }
  return list;
}

/**
 * The address that the cluster has given a Service, which is dialled as it is: no name is resolved, so that none can
 * change between a check and its use.
 *
 * @param service the Service as the apiserver has it
 * @param asked what is asked for
 * @returns an IP address
 * @throws FairleadError ACCESS_DENIED for a Service that may lead out of the cluster; UNREACHABLE for one that has no such
 *   port or no address
 */
export function serviceAddress(service: unknown, asked: ServicePort): string {
  const { kind, metadata, spec } = Object(service);
  const { name, namespace } = Object(metadata);
  const { type, clusterIP, selector, ports } = Object(spec);
  if (kind !== "Service" || name !== asked.name || namespace !== asked.namespace) {
    throw fault(ErrorCode.UNREACHABLE, asked, "is not what the apiserver answered with");
  }
  if (!IN_CLUSTER.has(type)) throw leadsOut(asked, `is of the type ${String(type)}`);
  if (clusterIP === "None") {
    throw fault(ErrorCode.UNREACHABLE, asked, "is headless: it has no address of its own; use kubectl port-forward");
  }
  if (Object.keys(Object(selector)).length === 0) throw leadsOut(asked, "has no selector");
  if (!Array.isArray(ports) || !ports.some((each) => isTcpPort(each, asked.port))) {
    throw fault(ErrorCode.UNREACHABLE, asked, "has no such TCP port");
  }
  const family = typeof clusterIP === "string" ? isIP(clusterIP) : 0;
  if (family === 0) throw fault(ErrorCode.UNREACHABLE, asked, "has no address yet");
  const kindOfAddress = family === 6 ? "ipv6" : "ipv4";
  if (NEVER[kindOfAddress].check(clusterIP, kindOfAddress)) throw leadsOut(asked, `has the address ${clusterIP}`);
  return clusterIP;
}

function isTcpPort(port: unknown, number: number): boolean {
  const { port: own, protocol = "TCP" } = Object(port);
  return own === number && protocol === "TCP";
}

function leadsOut(asked: ServicePort, why: string): FairleadError {
  const reason = `${why}, so that it may lead out of the cluster; only Services with a selector and an address of their own are connected to`;
  return fault(ErrorCode.ACCESS_DENIED, asked, reason);
}

function fault(code: ErrorCode, asked: ServicePort, reason: string): FairleadError {
  const hop = code === ErrorCode.ACCESS_DENIED ? Hop.IDENTITY_PROXY : Hop.SERVICE;
  return new FairleadError(code, hop, `the Service ${servicePortText(asked)} ${reason}`);
}
