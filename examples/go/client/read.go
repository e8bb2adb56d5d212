package main

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
)

// get prints the cluster's namespaces.
func get(ctx context.Context, client kubernetes.Interface) error {
	namespaces, err := client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, namespace := range namespaces.Items {
		fmt.Println("namespace", namespace.Name)
	}
	return nil
}

// watch prints what becomes of the ConfigMaps of a namespace, until o.events were seen, the watch ends or ctx does.
//
// An ERROR event is an error: Fairlead ends a watch by one when the caller's token or access ends.
func watch(ctx context.Context, client kubernetes.Interface, o options) error {
	watcher, err := client.CoreV1().ConfigMaps(o.namespace).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	defer watcher.Stop()
	seen := 0
	for event := range watcher.ResultChan() {
		if ctx.Err() != nil {
			return nil // interrupted, which client-go reports as an event
		}
		if event.Type == apiwatch.Error {
			return errors.FromObject(event.Object)
		}
		if configMap, ok := event.Object.(*corev1.ConfigMap); ok {
			fmt.Println(event.Type, "configmap", configMap.Name)
		}
		if seen++; seen == o.events {
			return nil
		}
	}
	return nil
}
