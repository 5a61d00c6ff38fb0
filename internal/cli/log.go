// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import (
	"fmt"
	"io"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/talos-rebound/rebound/internal/plainlog"
)

// The forms of a log.
const (
	LogJSON    = "json"
	LogConsole = "console"
)

// NewLogger makes a logger that writes one line for each entry, of what plainlog lets through.
func NewLogger(w io.Writer, format string) (*zap.Logger, error) {
	config := zap.NewProductionEncoderConfig()
	config.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	config.TimeKey = "time"

	var encoder zapcore.Encoder

	switch format {
	case LogJSON:
		encoder = zapcore.NewJSONEncoder(config)
	case LogConsole:
		config.EncodeLevel = zapcore.CapitalLevelEncoder
		encoder = zapcore.NewConsoleEncoder(config)
	default:
		return nil, fmt.Errorf("--log-format %q is neither %s nor %s", format, LogJSON, LogConsole)
	}

	return zap.New(plainlog.Wrap(zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(w)), zapcore.InfoLevel))), nil
}
