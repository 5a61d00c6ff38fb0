// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli_test

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"go.uber.org/goleak"

	"github.com/talos-rebound/rebound/internal/cli"
)

// screen returns the rows of a terminal after text was written to it. It knows what the reporter uses: a line feed, and
// moving up to clear a row.
func screen(text string, width int) []string {
	rows := []string{""}

	for text != "" {
		switch {
		case strings.HasPrefix(text, "\x1b[A\x1b[K"):
			text = text[len("\x1b[A\x1b[K"):]
			rows = rows[:len(rows)-1]
			rows[len(rows)-1] = ""
		case text[0] == '\n':
			text = text[1:]

			rows = append(rows, "")
		default:
			char := []rune(text)[0]
			text = text[len(string(char)):]

			columns := 1
			if char == '世' {
				columns = 2
			}

			if len([]rune(rows[len(rows)-1]))+strings.Count(rows[len(rows)-1], "世")+columns > width {
				rows = append(rows, "")
			}

			rows[len(rows)-1] += string(char)
		}
	}

	return rows
}

// terminal can be written to and looked at at the same time.
type terminal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (t *terminal) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()

	return t.text.Write(p)
}

func (t *terminal) screen(width int) []string {
	t.mu.Lock()
	defer t.mu.Unlock()

	return screen(t.text.String(), width)
}

func TestOnATerminalTheLastLineIsAlive(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		var out terminal

		reporter := cli.NewLiveReporter(&out, 40, 6)
		shows := func(rows ...string) {
			t.Helper()
			synctest.Wait()
			assert.Equal(t, append(rows, ""), out.screen(40))
		}

		reporter.Update("waiting: ...")
		shows("◰ waiting: ...")

		reporter.Update("waiting: worker-2: kube-system/cilium: replacement is Pending")
		shows("◳ waiting: worker-2: kube-system/cilium:", " replacement is Pending")

		time.Sleep(2500 * time.Millisecond)
		shows("◱ waiting: worker-2: kube-system/cilium:", " replacement is Pending (2s)")

		reporter.Update("waiting: worker-3: is down")
		shows("◰ waiting: worker-3: is down (2s)")

		// What does not fit on the terminal is cut; what is wide counts twice.
		reporter.Update(strings.Repeat("x", 1000))
		shows("◳ "+strings.Repeat("x", 38), strings.Repeat("x", 40), strings.Repeat("x", 40), strings.Repeat("x", 34)+"… (2s)")

		reporter.Update(strings.Repeat("世", 18))
		shows("◲ "+strings.Repeat("世", 18)+" (", "2s)")

		reporter.Finish("waiting: OK")
		reporter.Finish("3 nodes recovered")
		shows("waiting: OK", "3 nodes recovered")

		time.Sleep(time.Minute)
		shows("waiting: OK", "3 nodes recovered")

		reporter.Close()
		reporter.Close()
	})
}

func TestOnATerminalLinesThatStayAreAboveTheLiveOne(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		var out terminal

		reporter := cli.NewLiveReporter(&out, 60, 6)
		defer reporter.Close()

		reporter.Log("worker-a: Pending")
		reporter.Show("waiting for worker-a")
		reporter.Log("worker-a: Cordoned")
		synctest.Wait()
		assert.Equal(t, []string{"worker-a: Pending", "worker-a: Cordoned", "◳ waiting for worker-a", ""}, out.screen(60))

		time.Sleep(2500 * time.Millisecond)
		synctest.Wait()
		assert.Equal(t, []string{"worker-a: Pending", "worker-a: Cordoned", "◱ waiting for worker-a (2s)", ""}, out.screen(60))

		reporter.Log("worker-a: Done")
		reporter.Finish("1 node rebooted")
		synctest.Wait()
		assert.Equal(t, []string{"worker-a: Pending", "worker-a: Cordoned", "worker-a: Done", "1 node rebooted", ""}, out.screen(60))
	})
}

func TestAFileHasOnlyTheLinesThatStay(t *testing.T) {
	t.Parallel()

	var out terminal

	reporter := cli.NewReporter(&out)
	defer reporter.Close()

	reporter.Log("worker-a: Pending")
	reporter.Show("waiting for worker-a")
	reporter.Finish("1 node rebooted")

	assert.Equal(t, "worker-a: Pending\n1 node rebooted\n", out.text.String())
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
