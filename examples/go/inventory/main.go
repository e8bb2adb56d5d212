// Command inventory lists the namespaces of clusters that a hub has ClusterProfile objects of, as a controller on the hub
// reaches them: upstream's library makes a client of each object, and the provider file says which program gives the token.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/cluster-inventory-api/apis/v1alpha1"
	"sigs.k8s.io/cluster-inventory-api/pkg/access"
)

func main() {
	providers := access.SetupProviderFileFlag()
	kubeconfig := flag.String("kubeconfig", os.Getenv("KUBECONFIG"), "the hub's")
	namespace := flag.String("namespace", "default", "where the hub has the ClusterProfile objects")
	flag.Parse()
	if err := run(context.Background(), *kubeconfig, *namespace, *providers); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run goes through all profiles, and reports each one that fails; the others are listed all the same.
func run(ctx context.Context, kubeconfig, namespace, providers string) error {
	hub, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	objects, err := dynamic.NewForConfig(hub)
	if err != nil {
		return err
	}
	list, err := objects.Resource(v1alpha1.GroupVersion.WithResource("clusterprofiles")).
		Namespace(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	failed := []error{}
	for _, item := range list.Items {
		var profile v1alpha1.ClusterProfile
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(item.Object, &profile); err != nil {
			return err
		}
		if err := listNamespaces(ctx, &profile, providers); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", profile.Name, err))
		}
	}
	return errors.Join(failed...)
}

// listNamespaces reads the provider file for each profile anew: BuildConfigFromCP adds a profile's arguments to what was
// read, and so they would be there for the next one too.
func listNamespaces(ctx context.Context, profile *v1alpha1.ClusterProfile, providers string) error {
	known, err := access.NewFromFile(providers)
	if err != nil {
		return err
	}
	config, err := known.BuildConfigFromCP(profile)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	namespaces, err := client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, each := range namespaces.Items {
		fmt.Println(profile.Name, "namespace", each.Name)
	}
	return nil
}
