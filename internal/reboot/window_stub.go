package reboot

import "time"

type Window struct{}

func OpenUntil(windows []Window, t time.Time) (time.Time, bool) { return time.Time{}, true }
func NextOpening(windows []Window, t time.Time, need time.Duration) (time.Time, bool) { return t, true }
