package neuro

import (
	"encoding/hex"
	"encoding/json"
	"fmt"

	gwruntime "github.com/grpc-ecosystem/grpc-gateway/runtime"

	"cosmossdk.io/core/appmodule"
	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/codec"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/module"
	"github.com/cosmos/cosmos-sdk/types/msgservice"
	txsigning "github.com/cosmos/cosmos-sdk/x/tx/signing"
	"google.golang.org/protobuf/proto"

	"github.com/moeswarm/moeswarm/internal/ledger"
	"github.com/moeswarm/moeswarm/internal/ledger/state"
	"github.com/moeswarm/moeswarm/ledger/x/neuro/types"
)

// AppModule is the module as the SDK takes it.
type AppModule struct{ Keeper *Keeper }

var (
	_ appmodule.AppModule = AppModule{}
	_ module.HasGenesis   = AppModule{}
	_ module.HasServices  = AppModule{}
)

// IsAppModule marks a module.
func (AppModule) IsAppModule() {}

// IsOnePerModuleType marks a module.
func (AppModule) IsOnePerModuleType() {}

// Name of the module.
func (AppModule) Name() string { return Name }

// ConsensusVersion counts changes that break consensus.
func (AppModule) ConsensusVersion() uint64 { return 1 }

// RegisterLegacyAminoCodec does nothing: there is no amino.
func (AppModule) RegisterLegacyAminoCodec(*codec.LegacyAmino) {}

// RegisterGRPCGatewayRoutes does nothing: clients come over libp2p.
func (AppModule) RegisterGRPCGatewayRoutes(client.Context, *gwruntime.ServeMux) {}

// RegisterServices registers the messages' handlers.
func (m AppModule) RegisterServices(c module.Configurator) {
	types.RegisterMsgServer(c.MsgServer(), m.Keeper)
}

// RegisterInterfaces registers the messages.
func (AppModule) RegisterInterfaces(r codectypes.InterfaceRegistry) { Register(r) }

// Register registers the messages.
func Register(r codectypes.InterfaceRegistry) {
	r.RegisterImplementations((*sdk.Msg)(nil), &types.MsgAct{}, &types.MsgGovern{})
	msgservice.RegisterMsgServiceDesc(r, types.MsgServiceDesc())
}

// ActSigner tells the SDK who signs a MsgAct: the account of the key in it.
func ActSigner() txsigning.CustomGetSigner {
	return txsigning.CustomGetSigner{
		MsgType: "neuro.v1.MsgAct",
		Fn: func(m proto.Message) ([][]byte, error) {
			r := m.ProtoReflect()
			field := r.Descriptor().Fields().ByName("signer")
			if field == nil {
				return nil, fmt.Errorf("%s has no signer", r.Descriptor().FullName())
			}
			key := r.Get(field).Bytes()
			if len(key) != len(ledger.Key{}) {
				return nil, fmt.Errorf("a signer's key of %d bytes", len(key))
			}
			return [][]byte{Address(ledger.Key(key))}, nil
		},
	}
}

// genesis is the module's part of a genesis document: what a chain starts with,
// or all records of one that goes on.
type genesis struct {
	Params    string            `json:"params,omitempty"` // records in their encoding, in hex
	Models    map[string]string `json:"models,omitempty"`
	Providers map[string]string `json:"providers,omitempty"`
	Records   []record          `json:"records,omitempty"`
}

type record struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// GenesisJSON writes what a chain starts with.
func GenesisJSON(g state.Genesis) (json.RawMessage, error) {
	out := genesis{Params: text(&g.Params), Models: map[string]string{}, Providers: map[string]string{}}
	for id, m := range g.Models {
		out.Models[id.String()] = text(&m)
	}
	for k, p := range g.Providers {
		out.Providers[k.String()] = text(&p)
	}
	return json.Marshal(out)
}

func text(r ledger.Record) string { return hex.EncodeToString(ledger.Encode(r)) }

// DefaultGenesis has default parameters and nobody in it.
func (AppModule) DefaultGenesis(codec.JSONCodec) json.RawMessage {
	b, err := GenesisJSON(state.Genesis{Params: ledger.DefaultParams()})
	if err != nil {
		panic(err) // strings always encode
	}
	return b
}

// ValidateGenesis checks a genesis.
func (AppModule) ValidateGenesis(_ codec.JSONCodec, _ client.TxEncodingConfig, b json.RawMessage) error {
	_, _, err := parseGenesis(b)
	return err
}

// InitGenesis writes the first state.
func (m AppModule) InitGenesis(ctx sdk.Context, _ codec.JSONCodec, b json.RawMessage) {
	g, all, err := parseGenesis(b)
	if err != nil {
		panic(err) // the chain must not start
	}
	for _, name := range append(Accounts(), Name) {
		m.Keeper.Accounts.GetModuleAccount(ctx, name) // made before money comes in
	}
	if len(all) == 0 {
		if err := m.Keeper.Machine(ctx).Init(g); err != nil {
			panic(err)
		}
		return
	}
	store := m.Keeper.records(ctx)
	for _, r := range all {
		store.Set([]byte(r.Key), []byte(r.Value))
	}
}

// ExportGenesis writes all records.
func (m AppModule) ExportGenesis(ctx sdk.Context, _ codec.JSONCodec) json.RawMessage {
	var g genesis
	m.Keeper.records(ctx).Iterate(nil, func(key, value []byte) bool {
		g.Records = append(g.Records, record{hex.EncodeToString(key), hex.EncodeToString(value)})
		return true
	})
	b, err := json.Marshal(g)
	if err != nil {
		panic(err)
	}
	return b
}

func parseGenesis(b json.RawMessage) (out state.Genesis, all []record, err error) {
	var g genesis
	if err := json.Unmarshal(b, &g); err != nil {
		return out, nil, fmt.Errorf("genesis of x/neuro: %w", err)
	}
	for _, r := range g.Records {
		key, errKey := hex.DecodeString(r.Key)
		value, errValue := hex.DecodeString(r.Value)
		if errKey != nil || errValue != nil {
			return out, nil, fmt.Errorf("genesis of x/neuro: record %.80q is not hex", r.Key)
		}
		all = append(all, record{string(key), string(value)})
	}
	if len(all) > 0 {
		return out, all, nil
	}
	out.Models, out.Providers = map[ledger.Hash]ledger.Model{}, map[ledger.Key]ledger.Provider{}
	if err := parseRecord(g.Params, &out.Params); err != nil {
		return out, nil, fmt.Errorf("genesis of x/neuro: parameters: %w", err)
	}
	for id, v := range g.Models {
		var m ledger.Model
		key, err := ledger.ParseKey(id)
		if err == nil {
			err = parseRecord(v, &m)
		}
		if err != nil {
			return out, nil, fmt.Errorf("genesis of x/neuro: model %.80q: %w", id, err)
		}
		out.Models[ledger.Hash(key)] = m
	}
	for k, v := range g.Providers {
		var p ledger.Provider
		key, err := ledger.ParseKey(k)
		if err == nil {
			err = parseRecord(v, &p)
		}
		if err != nil {
			return out, nil, fmt.Errorf("genesis of x/neuro: provider %.80q: %w", k, err)
		}
		out.Providers[key] = p
	}
	return out, nil, out.Params.Check()
}

func parseRecord(text string, r ledger.Record) error {
	b, err := hex.DecodeString(text)
	if err != nil {
		return err
	}
	return ledger.Decode(b, r)
}
