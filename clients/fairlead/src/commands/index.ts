import type { Command } from "commander";

/** A command as the program knows it before it is called: enough for the list of `fairlead --help`. */
export interface LazyCommand {
  name: string;
  /** As the command itself has it; a test holds the two together. */
  description: string;
  /** Loads its module: most bring gRPC with them, which takes longer than all that `--version` does. */
  load: () => Promise<Command>;
}

/** All commands, in the order of the help. */
export const COMMANDS: readonly LazyCommand[] = [
  {
    name: "login",
    description: "log in to a relay, for all its clusters",
    load: async () => (await import("./login.ts")).loginCommand(),
  },
  {
    name: "proxy",
    description: "run a local proxy for clusters and point kubectl at it",
    load: async () => (await import("./proxy.ts")).proxyCommand(),
  },
  {
    name: "forward",
    description: "listen on this machine and carry each connection to a Service of a cluster",
    load: async () => (await import("./forward.ts")).forwardCommand(),
  },
  {
    name: "exec",
    description: "run a command with access to a cluster, or once for each of many",
    load: async () => (await import("./exec.ts")).execCommand(),
  },
  {
    name: "clusters",
    description: "list the clusters that you may reach, and keep them as an administrator",
    load: async () => (await import("./clusters.ts")).clustersCommand(),
  },
  {
    name: "kubeconfig",
    description: "print, write or remove clusters' contexts, which point at `fairlead proxy`, or at the relay",
    load: async () => (await import("./kubeconfig.ts")).kubeconfigCommand(),
  },
  {
    name: "get-token",
    description: "give kubectl your token: contexts of `fairlead kubeconfig --direct` run this",
    load: async () => (await import("./get-token.ts")).getTokenCommand(),
  },
  {
    name: "cluster-profiles",
    description: "keep a ClusterProfile object in a hub for each cluster that you may reach, for controllers there",
    load: async () => (await import("./cluster-profiles.ts")).clusterProfilesCommand(),
  },
  {
    name: "rules",
    description: "list and keep the rules that say who reaches which cluster (administrators)",
    load: async () => (await import("./rules.ts")).rulesCommand(),
  },
  {
    name: "connect",
    description: "connect a cluster to the relay, from a kubeconfig that may administrate it",
    load: async () => (await import("./connect.ts")).connectCommand(),
  },
  {
    name: "disconnect",
    description: "remove what connects a cluster, there and at the relay",
    load: async () => (await import("./disconnect.ts")).disconnectCommand(),
  },
  {
    name: "access",
    description: "explain who may do what where (administrators)",
    load: async () => (await import("./access.ts")).accessCommand(),
  },
  {
    name: "rbac",
    description: "print the RBAC that an identity proxy needs in its cluster, and no more",
    load: async () => (await import("./rbac.ts")).rbacCommand(),
  },
  {
    name: "doctor",
    description: "find the first hop that fails on the way to a cluster, and say what to do",
    load: async () => (await import("./doctor.ts")).doctorCommand(),
  },
  {
    name: "whoami",
    description: "say who you are to the relay, and until when",
    load: async () => (await import("./whoami.ts")).whoamiCommand(),
  },
  {
    name: "profiles",
    description: "list the relays that you logged in to, and choose the current one",
    load: async () => (await import("./profiles.ts")).profilesCommand(),
  },
  {
    name: "logout",
    description: "forget your login to a relay, and have its issuer take it back",
    load: async () => (await import("./logout.ts")).logoutCommand(),
  },
  {
    name: "completion",
    description: "print what makes your shell complete commands, options and clusters",
    load: async () => (await import("./completion.ts")).completionCommand(),
  },
];
