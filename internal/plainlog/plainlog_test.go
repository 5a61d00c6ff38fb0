// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package plainlog_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/talos-rebound/rebound/internal/ctest"
	"github.com/talos-rebound/rebound/internal/plainlog"
)

func encoders() map[string]zapcore.Encoder {
	return map[string]zapcore.Encoder{
		"json":    zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()),
		"console": zapcore.NewConsoleEncoder(zap.NewProductionEncoderConfig()),
	}
}

func TestWhatOthersSayIsBoundedAndPrintable(t *testing.T) {
	t.Parallel()

	hostile := ctest.Hostile()
	address := &url.URL{Scheme: "https", Host: "proxy", User: url.UserPassword("user", ctest.Password), Path: "/\u202e"}

	for name, field := range map[string]zapcore.Field{
		"a text":           zap.String("field", hostile),
		"an error":         zap.Error(errors.New(hostile)),
		"a named error":    zap.NamedError("field", errors.New(hostile)),
		"bytes":            zap.ByteString("field", []byte(hostile)),
		"a list":           zap.Strings("field", []string{hostile, hostile}),
		"an object":        zap.Any("field", map[string]string{"a": hostile}),
		"what has a text":  zap.Stringer("field", address),
		"what is encoded":  zap.Reflect("field", []any{hostile}),
		"objects of zap's": zap.Dict("field", zap.String("a", hostile)),
	} {
		for format, encoder := range encoders() {
			var out bytes.Buffer

			logger := zap.New(plainlog.Wrap(zapcore.NewCore(encoder, zapcore.AddSync(&out), zapcore.InfoLevel)))
			logger.With(field).Info(hostile, field)
			logger.Debug("not to be seen")

			t.Log(name, format)
			ctest.AssertPrintable(t, out.String(), 32<<10)
			assert.NotContains(t, out.String(), "not to be seen")
		}
	}
}

func TestWhatIsPlainStaysAsItIs(t *testing.T) {
	t.Parallel()

	fields := []zapcore.Field{
		zap.String("text", "plain"), zap.Int("number", 1), zap.Strings("list", []string{"a", "b"}), zap.Error(errors.New("no")),
		zap.Any("object", map[string]string{"a": "b"}), zap.Stringer("nothing", (*url.URL)(nil)), zap.Error(nil), zap.Bool("is", true),
	}

	var out bytes.Buffer

	zap.New(plainlog.Wrap(zapcore.NewCore(encoders()["json"], zapcore.AddSync(&out), zapcore.InfoLevel))).Info("said", fields...)

	var said map[string]any

	require.NoError(t, json.Unmarshal(out.Bytes(), &said))
	delete(said, "ts")
	assert.Equal(t, map[string]any{
		"level": "info", "msg": "said", "text": "plain", "number": 1.0, "list": []any{"a", "b"}, "error": "no",
		"object": map[string]any{"a": "b"}, "nothing": "<nil>", "is": true,
	}, said)
}

func TestWhatTheCoreLeavesOutIsLeftOut(t *testing.T) {
	t.Parallel()

	var out bytes.Buffer

	core := zapcore.NewCore(encoders()["json"], zapcore.AddSync(&out), zapcore.InfoLevel)
	logger := zap.New(plainlog.Wrap(zapcore.NewSamplerWithOptions(core, time.Hour, 2, 0)))

	for range 100 {
		logger.With(zap.Bool("is", true)).Info("said again and again")
	}

	assert.Equal(t, 2, bytes.Count(out.Bytes(), []byte("\n")))
}
