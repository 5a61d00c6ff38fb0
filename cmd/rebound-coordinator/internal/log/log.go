// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package log makes the logger of the coordinator, and makes the libraries use it too.
package log

import (
	"fmt"

	"github.com/go-logr/zapr"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/talos-rebound/rebound/internal/plainlog"
)

// The formats.
const (
	FormatJSON    = "json"
	FormatConsole = "console"
)

// New returns a logger that writes to standard error what plainlog lets through.
func New(format string) (*zap.Logger, error) {
	config := zap.NewProductionConfig()
	config.EncoderConfig.EncodeTime = zapcore.ISO8601TimeEncoder
	config.DisableCaller = true
	config.DisableStacktrace = true

	switch format {
	case FormatJSON:
	case FormatConsole:
		config.Encoding = "console"
	default:
		return nil, fmt.Errorf("--log-format %q is neither %s nor %s", format, FormatJSON, FormatConsole)
	}

	logger, err := config.Build(zap.WrapCore(plainlog.Wrap))
	if err != nil {
		return nil, fmt.Errorf("failed to make a logger: %w", err)
	}

	return logger, nil
}

// Share makes the libraries log to the logger, in the whole process. It is to be called before anything else is started.
func Share(logger *zap.Logger) {
	ctrllog.SetLogger(zapr.NewLogger(logger))
	klog.SetLogger(zapr.NewLogger(logger.Named("client")))
}
