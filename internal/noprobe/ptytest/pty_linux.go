package ptytest

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Open returns both ends of a new terminal of w by h cells. The test closes
// them at its end.
func Open(t testing.TB, w, h int) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatalf("unlock the terminal: %v", err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatalf("ask for the terminal's number: %v", err)
	}
	Resize(t, master, w, h)
	slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

// Resize changes the size of a terminal.
func Resize(t testing.TB, master *os.File, w, h int) {
	t.Helper()
	size := &unix.Winsize{Col: uint16(w), Row: uint16(h)}
	if err := unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, size); err != nil {
		t.Fatalf("set the terminal's size: %v", err)
	}
}

// patience is how long a program may take to end. It is far above what any
// machine needs, so that only a hang is cut off.
const patience = time.Minute

// Output runs cmd in the foreground of a terminal that is silent, with TERM
// xterm-256color unless cmd.Env is set, and returns what it wrote there. It
// ends the program as soon as it asks the terminal something: nobody will
// answer.
func Output(t testing.TB, cmd *exec.Cmd) []byte {
	t.Helper()
	master, slave := Open(t, 80, 24)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if cmd.Env == nil {
		cmd.Env = append(os.Environ(), "TERM=xterm-256color", "COLORFGBG=", "CI=")
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start on a terminal: %v", err)
	}
	slave.Close() // the last one to close it is the program: then reads end
	late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	var out bytes.Buffer
	buf := make([]byte, 4096)
	for {
		n, err := master.Read(buf)
		out.Write(buf[:n])
		if len(Questions(out.Bytes())) > 0 {
			_ = cmd.Process.Kill()
		}
		if err != nil {
			break
		}
	}
	err := cmd.Wait()
	if !late.Stop() {
		t.Fatalf("%s did not end in %s; it wrote %q", cmd.Path, patience, out.Bytes())
	}
	if err != nil && len(Questions(out.Bytes())) == 0 {
		t.Fatalf("%s: %v; it wrote %q", cmd.Path, err, out.Bytes())
	}
	return out.Bytes()
}

// question matches what a terminal answers: a colour (OSC 10, 11, 12 with ?),
// a device status or cursor position (CSI n), device attributes (CSI c).
var question = regexp.MustCompile(`\x1b\](?:\d+;)+\?(?:\x07|\x1b\\)?|\x1b\[[?>=]?[0-9;]*[nc]`)

// Questions returns the questions to the terminal in what a program wrote.
func Questions(out []byte) [][]byte { return question.FindAll(out, -1) }
