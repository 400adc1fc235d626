;; An Extism plug-in in WebAssembly text: counts the words, lines and bytes of its input and answers
;; {"words":W,"lines":L,"bytes":B} as JSON bytes. `deno task wasm` turns it into wordcount.wasm.
;;
;; A word is a longest run of bytes that are not ASCII white space. A line ends with a line feed; a last line
;; without one counts too.
(module
  (import "extism:host/env" "input_length" (func $input_length (result i64)))
  (import "extism:host/env" "input_load_u8" (func $input_load_u8 (param i64) (result i32)))
  (import "extism:host/env" "input_load_u64" (func $input_load_u64 (param i64) (result i64)))
  (import "extism:host/env" "alloc" (func $alloc (param i64) (result i64)))
  (import "extism:host/env" "store_u8" (func $store_u8 (param i64 i32)))
  (import "extism:host/env" "output_set" (func $output_set (param i64 i64)))

  ;; The fixed pieces of the answer: each is at its offset, and the lengths stand where they are written.
  (memory 1)
  (data (i32.const 0) "{\22words\22:")
  (data (i32.const 16) ",\22lines\22:")
  (data (i32.const 32) ",\22bytes\22:")
  (data (i32.const 48) "}")

  (global $words (mut i64) (i64.const 0))
  (global $lines (mut i64) (i64.const 0))
  ;; 1 while the byte before was part of a word.
  (global $in_word (mut i32) (i32.const 0))
  ;; Where the next byte of the answer goes, in this module's memory. The answer starts at 64.
  (global $at (mut i32) (i32.const 64))

  ;; ASCII white space: 9 to 13 (tab, line feed, vertical tab, form feed, carriage return) and 32.
  (func $is_space (param $byte i32) (result i32)
    (i32.or
      (i32.eq (local.get $byte) (i32.const 32))
      (i32.le_u (i32.sub (local.get $byte) (i32.const 9)) (i32.const 4))))

  ;; A word is counted at its first byte.
  (func $observe (param $byte i32)
    (if (i32.eq (local.get $byte) (i32.const 10))
      (then (global.set $lines (i64.add (global.get $lines) (i64.const 1)))))
    (if (call $is_space (local.get $byte))
      (then (global.set $in_word (i32.const 0)))
      (else
        (if (i32.eqz (global.get $in_word))
          (then (global.set $words (i64.add (global.get $words) (i64.const 1)))))
        (global.set $in_word (i32.const 1)))))

  ;; Reads the input eight bytes at a time, because each load is a call to the host, then the rest one by one.
  (func $scan (param $length i64)
    (local $offset i64)
    (local $eight i64)
    (local $left i32)
    (block $rest
      (loop $blocks
        (br_if $rest (i64.gt_u (i64.add (local.get $offset) (i64.const 8)) (local.get $length)))
        (local.set $eight (call $input_load_u64 (local.get $offset)))
        (local.set $left (i32.const 8))
        (loop $bytes
          (call $observe (i32.wrap_i64 (i64.and (local.get $eight) (i64.const 255))))
          (local.set $eight (i64.shr_u (local.get $eight) (i64.const 8)))
          (local.set $left (i32.sub (local.get $left) (i32.const 1)))
          (br_if $bytes (local.get $left)))
        (local.set $offset (i64.add (local.get $offset) (i64.const 8)))
        (br $blocks)))
    (block $done
      (loop $bytes
        (br_if $done (i64.ge_u (local.get $offset) (local.get $length)))
        (call $observe (call $input_load_u8 (local.get $offset)))
        (local.set $offset (i64.add (local.get $offset) (i64.const 1)))
        (br $bytes))))

  (func $put_byte (param $byte i32)
    (i32.store8 (global.get $at) (local.get $byte))
    (global.set $at (i32.add (global.get $at) (i32.const 1))))

  (func $put_text (param $from i32) (param $length i32)
    (loop $bytes
      (call $put_byte (i32.load8_u (local.get $from)))
      (local.set $from (i32.add (local.get $from) (i32.const 1)))
      (local.set $length (i32.sub (local.get $length) (i32.const 1)))
      (br_if $bytes (local.get $length))))

  ;; Decimal digits, the leading ones first by recursion: a 64-bit number has at most twenty.
  (func $put_number (param $number i64)
    (if (i64.ge_u (local.get $number) (i64.const 10))
      (then (call $put_number (i64.div_u (local.get $number) (i64.const 10)))))
    (call $put_byte
      (i32.add (i32.const 48) (i32.wrap_i64 (i64.rem_u (local.get $number) (i64.const 10))))))

  ;; Copies the answer to the host. The block is allocated to measure: the host takes it whole.
  (func $hand_over
    (local $length i64)
    (local $offset i64)
    (local $block i64)
    (local.set $length (i64.extend_i32_u (i32.sub (global.get $at) (i32.const 64))))
    (local.set $block (call $alloc (local.get $length)))
    (loop $bytes
      (call $store_u8
        (i64.add (local.get $block) (local.get $offset))
        (i32.load8_u offset=64 (i32.wrap_i64 (local.get $offset))))
      (local.set $offset (i64.add (local.get $offset) (i64.const 1)))
      (br_if $bytes (i64.lt_u (local.get $offset) (local.get $length))))
    (call $output_set (local.get $block) (local.get $length)))

  ;; The endpoint `wordcount/count`. 0 tells the host that all went well.
  (func (export "count") (result i32)
    (local $length i64)
    (global.set $words (i64.const 0))
    (global.set $lines (i64.const 0))
    (global.set $in_word (i32.const 0))
    (local.set $length (call $input_length))
    (call $scan (local.get $length))
    (if (i64.ne (local.get $length) (i64.const 0))
      (then
        (if (i32.ne (call $input_load_u8 (i64.sub (local.get $length) (i64.const 1))) (i32.const 10))
          (then (global.set $lines (i64.add (global.get $lines) (i64.const 1)))))))

    (global.set $at (i32.const 64))
    (call $put_text (i32.const 0) (i32.const 9))
    (call $put_number (global.get $words))
    (call $put_text (i32.const 16) (i32.const 9))
    (call $put_number (global.get $lines))
    (call $put_text (i32.const 32) (i32.const 9))
    (call $put_number (local.get $length))
    (call $put_text (i32.const 48) (i32.const 1))
    (call $hand_over)
    (i32.const 0)))
