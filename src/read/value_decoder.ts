/** What a read makes of a value's bytes. `passing`: they lie in the store's memory and are valid during the call only. */
export interface ValueDecoder<V> {
  readonly keepsBytes: boolean;
  decode(bytes: Uint8Array): V;
}
