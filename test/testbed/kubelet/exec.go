package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/creack/pty"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

// processes runs what exec asks for.
type processes struct{}

func (processes) ExecInContainer(ctx context.Context, _, _, _ string, command []string, in io.Reader, out, errOut io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize, _ time.Duration) error {
	if len(command) == 0 {
		return errors.New("no command")
	}
	process := exec.CommandContext(ctx, command[0], command[1:]...)
	// A test run that is killed must not leave its commands behind.
	process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if tty {
		return exitCode(runInTerminal(process, in, out, resize))
	}
	return exitCode(runWithPipes(process, in, out, errOut))
}

// runWithPipes returns when the process has ended and all its output is written.
func runWithPipes(process *exec.Cmd, in io.Reader, out, errOut io.WriteCloser) error {
	// Assigning a nil stream would make a non-nil interface of it.
	if out != nil {
		process.Stdout = out
	}
	if errOut != nil {
		process.Stderr = errOut
	}
	if in != nil {
		// Not process.Stdin: Wait would then wait for the client's end of input, after the process has ended.
		stdin, err := process.StdinPipe()
		if err != nil {
			return err
		}
		go func() {
			_, _ = io.Copy(stdin, in)
			_ = stdin.Close()
		}()
	}
	return process.Run()
}

func runInTerminal(process *exec.Cmd, in io.Reader, out io.WriteCloser, resize <-chan remotecommand.TerminalSize) error {
	process.Env = append(os.Environ(), "TERM=xterm")
	terminal, err := pty.StartWithSize(process, firstSize(resize))
	if err != nil {
		return err
	}
	defer terminal.Close()
	go func() {
		for size := range resize {
			_ = pty.Setsize(terminal, windowSize(size))
		}
	}()
	if in != nil {
		go func() {
			_, _ = io.Copy(terminal, in)
			// A terminal has no half-close: end of input is what a person types, Ctrl-D.
			_, _ = terminal.Write([]byte{0x04})
		}()
	}
	if out != nil {
		// Ends with EIO once the last process has closed the terminal.
		_, _ = io.Copy(out, terminal)
	}
	return process.Wait()
}

// firstSize waits for the size that every client sends at once when it has a terminal, so that a command's first
// look at its terminal is deterministic. A container runtime does not wait, and may report 0 by 0 for an instant.
func firstSize(resize <-chan remotecommand.TerminalSize) *pty.Winsize {
	select {
	case size, open := <-resize:
		if open {
			return windowSize(size)
		}
	case <-time.After(2 * time.Second):
	}
	return &pty.Winsize{}
}

func windowSize(size remotecommand.TerminalSize) *pty.Winsize {
	return &pty.Winsize{Rows: size.Height, Cols: size.Width}
}

// exitCode turns a process's exit into the error that the streaming code sends as an exit code. Death by a signal
// counts as in a shell: 128 and the signal's number.
func exitCode(err error) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	code := exit.ExitCode()
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		code = 128 + int(status.Signal())
	}
	return utilexec.CodeExitError{Err: err, Code: code}
}
