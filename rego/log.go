package rego

import (
	"fmt"

	"github.com/open-policy-agent/opa/v1/logging"
	"github.com/rs/zerolog"
)

// opaLog lets OPA's own components write into our log.
type opaLog struct{ to zerolog.Logger }

func (l opaLog) Debug(format string, a ...any) { l.to.Debug().Msg(fmt.Sprintf(format, a...)) }
func (l opaLog) Info(format string, a ...any)  { l.to.Info().Msg(fmt.Sprintf(format, a...)) }
func (l opaLog) Warn(format string, a ...any)  { l.to.Warn().Msg(fmt.Sprintf(format, a...)) }
func (l opaLog) Error(format string, a ...any) { l.to.Error().Msg(fmt.Sprintf(format, a...)) }

func (l opaLog) WithFields(fields map[string]any) logging.Logger {
	return opaLog{l.to.With().Fields(fields).Logger()}
}

func (l opaLog) GetLevel() logging.Level {
	switch l.to.GetLevel() {
	case zerolog.TraceLevel, zerolog.DebugLevel:
		return logging.Debug
	case zerolog.InfoLevel:
		return logging.Info
	case zerolog.WarnLevel:
		return logging.Warn
	default:
		return logging.Error
	}
}

// SetLevel does nothing: the level is that of our log.
func (opaLog) SetLevel(logging.Level) {}
