package main

import (
	"context"
	"net/url"
	"os"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
)

// execute runs a command in a pod, with our own output streams.
//
// A command that fails is an exec.ExitError with its code; one whose connection breaks under it is another error, and never
// none: over WebSocket by the protocol itself, over SPDY since the relay writes the fault where the result is due.
func execute(ctx context.Context, config *rest.Config, client kubernetes.Interface, o options, pod string, command []string) error {
	request := client.CoreV1().RESTClient().Post().Namespace(o.namespace).Resource("pods").Name(pod).SubResource("exec")
	request.VersionedParams(&corev1.PodExecOptions{Command: command, Stdout: true, Stderr: true}, scheme.ParameterCodec)
	executor, err := newExecutor(config, request.URL(), o.spdy)
	if err != nil {
		return err
	}
	return executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: os.Stdout, Stderr: os.Stderr})
}

// newExecutor asks for a WebSocket, and for SPDY where something on the way or the apiserver knows none, as kubectl does.
func newExecutor(config *rest.Config, url *url.URL, onlySpdy bool) (remotecommand.Executor, error) {
	spdy, err := remotecommand.NewSPDYExecutor(config, "POST", url)
	if err != nil || onlySpdy {
		return spdy, err
	}
	websocket, err := remotecommand.NewWebSocketExecutor(config, "GET", url.String())
	if err != nil {
		return nil, err
	}
	return remotecommand.NewFallbackExecutor(websocket, spdy, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
}
