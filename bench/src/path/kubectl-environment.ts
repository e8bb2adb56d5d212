import { join } from "node:path";

/** What kubectl is run with: nothing of the machine's own settings but PATH. @param folder where it finds its home */
export function kubectlEnvironment(kubeconfig: string, folder: string): NodeJS.ProcessEnv {
  const home = join(folder, "home");
  return { PATH: process.env.PATH, HOME: home, KUBECACHEDIR: join(home, "cache"), KUBECONFIG: kubeconfig };
}
