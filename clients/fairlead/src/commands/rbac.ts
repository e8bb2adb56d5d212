import { capRules, type ImpersonationNeeds, impersonationRules, type PolicyRule } from "@fairlead/authorization";
import { Command } from "commander";
import { stringify } from "yaml";
import { misuse } from "../misuse.ts";
import { print, printJson } from "../output.ts";
import { readAuthentication } from "./authentication-file.ts";
import { collect, type RelayOptions } from "./global-options.ts";

interface RbacOptions extends RelayOptions {
  cap: string[];
  authentication?: string;
  allowAs?: boolean;
  name: string;
  namespace: string;
  serviceAccount: string;
}

/** `fairlead rbac`: the rights that an identity proxy's account needs, for its cluster's owner. */
export function rbacCommand(): Command {
  return new Command("rbac")
    .description("print the RBAC that an identity proxy needs in its cluster, and no more")
    .option("--cap <verbs:resources>", "limit everybody to this, cluster-admins too; may be repeated", collect, [])
    .option("--authentication <file>", "the identity proxy's: uids and extras that it maps are rights of their own")
    .option("--allow-as", "the identity proxy runs with --allow-as")
    .option("--name <name>", "of the ClusterRole and its binding", "fairlead-identity-proxy")
    .option("--namespace <name>", "of the service account", "fairlead")
    .option("--service-account <name>", "the identity proxy's", "identity-proxy")
    .addHelpText("after", EXAMPLES)
    .action(async (_own: unknown, command: Command) => {
      const options = command.optsWithGlobals<RbacOptions>();
      const { authentication } = options;
      const objects = objectsFor(
        options,
        authentication === undefined ? {} : (await readAuthentication(authentication)).needs,
      );
      if (options.output === "json") printJson({ apiVersion: "v1", kind: "List", items: objects });
      else
        print(
          objects
            .map((object) => stringify(object, { lineWidth: 0 }))
            .join("---\n")
            .trimEnd(),
        );
    });
}

const EXAMPLES = `
A cap is enforced by the apiserver itself and needs Kubernetes 1.36. Discovery is always let through.

Examples:
  fairlead rbac | kubectl apply -f -                    # people may do what their own RBAC lets them
  fairlead rbac --authentication auth.yaml --allow-as
  fairlead rbac --cap get,list,watch:pods,pods/log,deployments.apps --cap create:pods/exec
  fairlead rbac --cap 'list,watch:*' --cap get:pods,pods/log,services,nodes --output json`;

function objectsFor(options: RbacOptions, mapped: ImpersonationNeeds): object[] {
  const { cap, allowAs = false, name, namespace, serviceAccount } = options;
  const limits = cap.length === 0 ? undefined : cap.flatMap(parsedCap);
  const rules = impersonationRules({ ...mapped, actingAs: allowAs }, limits);
  const apiVersion = "rbac.authorization.k8s.io/v1";
  return [
    { apiVersion, kind: "ClusterRole", metadata: { name }, rules },
    {
      apiVersion,
      kind: "ClusterRoleBinding",
      metadata: { name },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name },
      subjects: [{ kind: "ServiceAccount", name: serviceAccount, namespace }],
    },
  ];
}

function parsedCap(text: string): PolicyRule[] {
  try {
    return capRules(text);
  } catch (cause) {
    const sentence = `--cap: ${cause instanceof Error ? cause.message : cause}`;
    throw misuse(sentence, cause);
  }
}
