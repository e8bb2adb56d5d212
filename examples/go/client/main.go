// Command client reads, watches and runs a command in a pod of a cluster behind Fairlead, with client-go and a kubeconfig of
// `fairlead kubeconfig CLUSTER --direct --file FILE`. Nothing in it is Fairlead's: the kubeconfig's credential plugin gives
// the token, and the relay serves the cluster over HTTPS.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	utilexec "k8s.io/client-go/util/exec"
)

const usage = `usage: go run ./client --kubeconfig FILE get
       go run ./client --kubeconfig FILE --namespace NAMESPACE [--events N] watch
       go run ./client --kubeconfig FILE --namespace NAMESPACE [--spdy] exec POD COMMAND...
`

// options are what the command line says.
type options struct {
	namespace string
	events    int
	spdy      bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var o options
	kubeconfig := flag.String("kubeconfig", os.Getenv("KUBECONFIG"), "of `fairlead kubeconfig CLUSTER --direct --file`")
	flag.StringVar(&o.namespace, "namespace", "default", "where to watch, and the pod's")
	flag.IntVar(&o.events, "events", 0, "end a watch after so many events; 0 for never")
	flag.BoolVar(&o.spdy, "spdy", false, "ask for SPDY at once, as clients before 1.30 do")
	flag.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	flag.Parse()

	err := run(ctx, *kubeconfig, o, flag.Args())
	if exit := (utilexec.ExitError)(nil); errors.As(err, &exit) && exit.Exited() {
		os.Exit(exit.ExitStatus()) // the command's own
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, kubeconfig string, o options, args []string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	switch {
	case len(args) == 1 && args[0] == "get":
		return get(ctx, client)
	case len(args) == 1 && args[0] == "watch":
		return watch(ctx, client, o)
	case len(args) >= 3 && args[0] == "exec":
		return execute(ctx, config, client, o, args[1], args[2:])
	}
	return errors.New(usage)
}
