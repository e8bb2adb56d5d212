package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
)

const tickInterval = 100 * time.Millisecond

// attachments plays the container's main process: one that greets and then echoes its input when the client may send
// any, and one that counts otherwise.
type attachments struct{}

func (attachments) AttachContainer(ctx context.Context, _, _, _ string, in io.Reader, out, errOut io.WriteCloser, _ bool, resize <-chan remotecommand.TerminalSize) error {
	if out == nil {
		out = errOut
	}
	go func() {
		// Nothing here has a size, but the sender must not block.
		for range resize {
		}
	}()
	if in != nil {
		if _, err := io.WriteString(out, "attached\r\n"); err != nil {
			return err
		}
		_, err := io.Copy(out, in)
		return err
	}
	return tick(ctx, out)
}

// tick writes until the client is gone, which a write tells: the context of an upgraded request does not.
func tick(ctx context.Context, out io.Writer) error {
	for i := 0; ; i++ {
		if _, err := fmt.Fprintf(out, "tick %d\n", i); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(tickInterval):
		}
	}
}
