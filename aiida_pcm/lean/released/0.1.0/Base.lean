prelude
/-! # Base: the logic and the arithmetic that the rest stands on

Lean's own library is not used (the wheel that carries Lean carries no compiled library), so this file says from
nothing what equality, pairs, lists and natural numbers are. Every theorem is proved from these definitions.

The Lean kernel computes fifteen operations on numerals by itself, by name: `Nat.add sub mul div mod gcd beq ble land
lor xor shiftLeft shiftRight pow log2`. All of them, and `String` and `Char`, which it also knows by name, are defined
here, so that no later file can give such a name another meaning; the theorems of the last sections pin each
definition to the equations by which the operation is known. -/

set_option autoImplicit false
set_option linter.defProp false
noncomputable section
universe u v w

/-! ## What the compiler of Lean asks for
It will not take a definition without these three names. They are *unsafe*: the kernel lets no proof use them. -/

unsafe axiom lcErased : Type
unsafe axiom lcAny : Type
unsafe axiom lcVoid : Type

/-! ## Logic -/

def id {α : Sort u} (a : α) : α := a

set_option bootstrap.inductiveCheckResultingUniverse false in
inductive PUnit : Sort u where
  | unit : PUnit
abbrev Unit : Type := PUnit
@[match_pattern] abbrev Unit.unit : Unit := PUnit.unit

inductive True : Prop where
  | intro : True

inductive False : Prop

def Not (a : Prop) : Prop := a → False

def False.elim {C : Sort u} (h : False) : C := h.rec

def absurd {a : Prop} {C : Sort u} (h : a) (n : Not a) : C := (n h).rec

/-- `Eq a b`: the two are the same. -/
inductive Eq {α : Sort u} : α → α → Prop where
  | refl (a : α) : Eq a a

def Eq.ndrec.{u1, u2} {α : Sort u2} {a : α} {motive : α → Sort u1} (m : motive a) {b : α} (h : Eq a b) : motive b :=
  h.rec m

@[match_pattern] def rfl {α : Sort u} {a : α} : Eq a a := Eq.refl a

theorem Eq.subst {α : Sort u} {motive : α → Prop} {a b : α} (h : Eq a b) (m : motive a) : motive b := Eq.ndrec m h

theorem Eq.symm {α : Sort u} {a b : α} (h : Eq a b) : Eq b a := Eq.subst (motive := fun x => Eq x a) h rfl

theorem Eq.trans {α : Sort u} {a b c : α} (h : Eq a b) (k : Eq b c) : Eq a c :=
  Eq.subst (motive := fun x => Eq a x) k h

theorem congrArg {α : Sort u} {β : Sort v} {a b : α} (f : α → β) (h : Eq a b) : Eq (f a) (f b) :=
  Eq.subst (motive := fun x => Eq (f a) (f x)) h rfl

theorem congrTwo {α : Sort u} {β : Sort v} {γ : Sort w} (f : α → β → γ) {a b : α} {c d : β}
    (h : Eq a b) (k : Eq c d) : Eq (f a c) (f b d) :=
  (congrArg (fun x => f x c) h).trans (congrArg (f b) k)

inductive HEq : {α : Sort u} → α → {β : Sort u} → β → Prop where
  | refl {α : Sort u} (a : α) : HEq a a

theorem eq_of_heq {α : Sort u} {a b : α} (h : HEq a b) : Eq a b :=
  have : (α β : Sort u) → (a : α) → (b : β) → HEq a b → (h : Eq α β) → Eq (h.rec a : β) b :=
    fun _ _ _ _ h => h.rec (fun _ => rfl)
  this α α a b h rfl

theorem heq_of_eq {α : Sort u} {a b : α} (h : Eq a b) : HEq a b :=
  Eq.subst (motive := fun x => HEq a x) h (HEq.refl a)

structure And (a b : Prop) : Prop where
  intro ::
  left : a
  right : b

inductive Or (a b : Prop) : Prop where
  | inl (h : a) : Or a b
  | inr (h : b) : Or a b

structure PProd (α : Sort u) (β : Sort v) where
  fst : α
  snd : β

structure Prod (α : Type u) (β : Type v) where
  fst : α
  snd : β

/-! ## Truth values -/

set_option genCtorIdx false in
inductive Bool : Type where
  | false : Bool
  | true : Bool

namespace Bool

def and : Bool → Bool → Bool
  | true, b => b
  | false, _ => false

def or : Bool → Bool → Bool
  | true, _ => true
  | false, b => b

def not : Bool → Bool
  | true => false
  | false => true

/-- `b.pick x y` is x if b is true, and y otherwise. -/
def pick {α : Sort u} (b : Bool) (x y : α) : α :=
  match b with
  | true => x
  | false => y

theorem false_ne_true (h : Eq false true) : False :=
  Eq.subst (motive := fun b : Bool => b.pick False True) h True.intro

theorem and_left : {a b : Bool} → Eq (a.and b) true → Eq a true
  | true, _, _ => rfl
  | false, _, h => h

theorem and_right : {a b : Bool} → Eq (a.and b) true → Eq b true
  | true, _, h => h
  | false, _, h => (false_ne_true h).elim

theorem not_true : {a : Bool} → Eq a.not true → Eq a false
  | true, h => h.symm
  | false, _ => rfl

theorem and_comm : (a b : Bool) → Eq (a.and b) (b.and a)
  | true, true => rfl
  | true, false => rfl
  | false, true => rfl
  | false, false => rfl

theorem or_split : {a b : Bool} → Eq (a.or b) true → Or (Eq a true) (Eq b true)
  | true, _, _ => .inl rfl
  | false, _, h => .inr h

end Bool

/-! ## Natural numbers -/

set_option genCtorIdx false in
inductive Nat : Type where
  | zero : Nat
  | succ (n : Nat) : Nat

set_option genCtorIdx false in
class OfNat (α : Type u) (_ : Nat) where
  ofNat : α

@[instance 100] instance instOfNatNat (n : Nat) : OfNat Nat n := ⟨n⟩

def outParam (α : Sort u) : Sort u := α

set_option genCtorIdx false in
class HAdd (α : Type u) (β : Type v) (γ : outParam (Type w)) where
  hAdd : α → β → γ

set_option genCtorIdx false in
class Add (α : Type u) where
  add : α → α → α

instance instHAdd {α : Type u} [Add α] : HAdd α α α := ⟨fun a b => Add.add a b⟩

namespace Nat

def pred : Nat → Nat
  | zero => zero
  | succ n => n

protected def add : Nat → Nat → Nat
  | a, zero => a
  | a, succ b => succ (Nat.add a b)

end Nat

instance instAddNat : Add Nat := ⟨Nat.add⟩

namespace Nat

protected def sub : Nat → Nat → Nat
  | a, zero => a
  | a, succ b => pred (Nat.sub a b)

protected def mul : Nat → Nat → Nat
  | _, zero => zero
  | a, succ b => (Nat.mul a b).add a

protected def pow : Nat → Nat → Nat
  | _, zero => 1
  | a, succ b => (Nat.pow a b).mul a

protected def beq : Nat → Nat → Bool
  | zero, zero => .true
  | zero, succ _ => .false
  | succ _, zero => .false
  | succ a, succ b => Nat.beq a b

protected def ble : Nat → Nat → Bool
  | zero, _ => .true
  | succ _, zero => .false
  | succ a, succ b => Nat.ble a b

/-- a < b, as a computation. -/
protected def blt (a b : Nat) : Bool := Nat.ble (succ a) b

/-- `a.le b`: a ≤ b, that is, some d added to a gives b. -/
inductive le (a b : Nat) : Prop where
  | intro (d : Nat) (h : Eq (a.add d) b) : le a b

/-- `a.lt b`: a < b. -/
def lt (a b : Nat) : Prop := (succ a).le b

/-! ### Sums -/

theorem zero_add : (a : Nat) → Eq (zero.add a) a
  | zero => rfl
  | succ a => congrArg succ (zero_add a)

theorem succ_add (a : Nat) : (b : Nat) → Eq (a.succ.add b) (a.add b).succ
  | zero => rfl
  | succ b => congrArg succ (succ_add a b)

theorem add_comm (a : Nat) : (b : Nat) → Eq (a.add b) (b.add a)
  | zero => (zero_add a).symm
  | succ b => (congrArg succ (add_comm a b)).trans (succ_add b a).symm

theorem add_assoc (a b : Nat) : (c : Nat) → Eq ((a.add b).add c) (a.add (b.add c))
  | zero => rfl
  | succ c => congrArg succ (add_assoc a b c)

theorem add_right_comm (a b c : Nat) : Eq ((a.add b).add c) ((a.add c).add b) :=
  (add_assoc a b c).trans ((congrArg a.add (add_comm b c)).trans (add_assoc a c b).symm)

theorem add_four (a b c d : Nat) : Eq ((a.add b).add (c.add d)) ((a.add c).add (b.add d)) :=
  (add_assoc (a.add b) c d).symm.trans
    ((congrArg (fun x : Nat => x.add d) (add_right_comm a b c)).trans (add_assoc (a.add c) b d))

theorem succ_inj {a b : Nat} (h : Eq a.succ b.succ) : Eq a b := congrArg pred h

/-- Is it a successor? -/
def positive : Nat → Prop
  | zero => False
  | succ _ => True

theorem succ_ne_zero {a : Nat} (h : Eq a.succ zero) : False := Eq.subst (motive := positive) h True.intro

theorem add_cancel {a b : Nat} : (c : Nat) → Eq (a.add c) (b.add c) → Eq a b
  | zero, h => h
  | succ c, h => add_cancel c (succ_inj h)

/-! ### Products and powers -/

theorem zero_mul : (a : Nat) → Eq (zero.mul a) zero
  | zero => rfl
  | succ a => zero_mul a

theorem succ_mul (a : Nat) : (b : Nat) → Eq (a.succ.mul b) ((a.mul b).add b)
  | zero => rfl
  | succ b => congrArg succ
      ((congrArg (fun x : Nat => x.add a) (succ_mul a b)).trans (add_right_comm (a.mul b) b a))

theorem mul_comm (a : Nat) : (b : Nat) → Eq (a.mul b) (b.mul a)
  | zero => (zero_mul a).symm
  | succ b => (congrArg (fun x : Nat => x.add a) (mul_comm a b)).trans (succ_mul b a).symm

theorem mul_add (a b : Nat) : (c : Nat) → Eq (a.mul (b.add c)) ((a.mul b).add (a.mul c))
  | zero => rfl
  | succ c => (congrArg (fun x : Nat => x.add a) (mul_add a b c)).trans (add_assoc (a.mul b) (a.mul c) a)

theorem add_mul (a b c : Nat) : Eq ((a.add b).mul c) ((a.mul c).add (b.mul c)) :=
  (mul_comm (a.add b) c).trans ((mul_add c a b).trans (congrTwo Nat.add (mul_comm c a) (mul_comm c b)))

theorem mul_assoc (a b : Nat) : (c : Nat) → Eq ((a.mul b).mul c) (a.mul (b.mul c))
  | zero => rfl
  | succ c => (congrArg (fun x : Nat => x.add (a.mul b)) (mul_assoc a b c)).trans (mul_add a (b.mul c) b).symm

theorem mul_right_comm (a b c : Nat) : Eq ((a.mul b).mul c) ((a.mul c).mul b) :=
  (mul_assoc a b c).trans ((congrArg a.mul (mul_comm b c)).trans (mul_assoc a c b).symm)

theorem mul_one (a : Nat) : Eq (a.mul 1) a := zero_add a

theorem one_mul (a : Nat) : Eq (Nat.mul 1 a) a := (mul_comm 1 a).trans (mul_one a)

/-! ### Order -/

theorem le_refl (a : Nat) : a.le a := ⟨zero, rfl⟩

theorem zero_le (a : Nat) : zero.le a := ⟨a, zero_add a⟩

theorem le_succ (a : Nat) : a.le a.succ := ⟨1, rfl⟩

theorem le_trans {a b c : Nat} : a.le b → b.le c → a.le c
  | ⟨d, h⟩, ⟨e, k⟩ => ⟨d.add e, (add_assoc a d e).symm.trans ((congrArg (fun x : Nat => x.add e) h).trans k)⟩

theorem le_of_eq {a b : Nat} (h : Eq a b) : a.le b := ⟨zero, h⟩

theorem succ_le_succ {a b : Nat} : a.le b → a.succ.le b.succ
  | ⟨d, h⟩ => ⟨d, (succ_add a d).trans (congrArg succ h)⟩

theorem le_of_succ_le_succ {a b : Nat} : a.succ.le b.succ → a.le b
  | ⟨d, h⟩ => ⟨d, succ_inj ((succ_add a d).symm.trans h)⟩

theorem not_succ_le_zero {a : Nat} : a.succ.le zero → False
  | ⟨d, h⟩ => succ_ne_zero ((succ_add a d).symm.trans h)

theorem le_zero : {a : Nat} → a.le zero → Eq a zero
  | zero, _ => rfl
  | succ _, h => (not_succ_le_zero h).elim

theorem lt_irrefl : (a : Nat) → a.lt a → False
  | zero, h => not_succ_le_zero h
  | succ a, h => lt_irrefl a (le_of_succ_le_succ h)

theorem lt_ne {a b : Nat} (h : a.lt b) (e : Eq a b) : False :=
  lt_irrefl b (Eq.subst (motive := fun x : Nat => x.lt b) e h)

theorem not_le_of_lt {a b : Nat} (h : b.lt a) (k : a.le b) : False := lt_irrefl b (le_trans h k)

theorem le_step : {a b : Nat} → a.le b → Not (Eq a b) → a.succ.le b
  | _, _, ⟨zero, h⟩, n => (n h).elim
  | a, _, ⟨succ d, h⟩, _ => ⟨d, (succ_add a d).trans h⟩

theorem add_le_add {a b c d : Nat} : a.le b → c.le d → (a.add c).le (b.add d)
  | ⟨x, h⟩, ⟨y, k⟩ => ⟨x.add y, (add_four a c x y).trans (congrTwo Nat.add h k)⟩

theorem mul_le_mul_right {a b : Nat} (c : Nat) : a.le b → (a.mul c).le (b.mul c)
  | ⟨d, h⟩ => ⟨d.mul c, (add_mul a d c).symm.trans (congrArg (fun x : Nat => x.mul c) h)⟩

theorem mul_le_mul_left {a b : Nat} (c : Nat) (h : a.le b) : (c.mul a).le (c.mul b) :=
  le_trans (le_of_eq (mul_comm c a)) (le_trans (mul_le_mul_right c h) (le_of_eq (mul_comm b c)))

theorem eq_of_beq : {a b : Nat} → Eq (a.beq b) .true → Eq a b
  | zero, zero, _ => rfl
  | zero, succ _, h => (Bool.false_ne_true h).elim
  | succ _, zero, h => (Bool.false_ne_true h).elim
  | succ _, succ _, h => congrArg succ (eq_of_beq h)

theorem beq_refl : (a : Nat) → Eq (a.beq a) .true
  | zero => rfl
  | succ a => beq_refl a

theorem ne_of_beq {a b : Nat} (h : Eq (a.beq b) .false) (e : Eq a b) : False :=
  Bool.false_ne_true (h.symm.trans (Eq.subst (motive := fun x : Nat => Eq (a.beq x) .true) e (beq_refl a)))

theorem le_of_ble : {a b : Nat} → Eq (a.ble b) .true → a.le b
  | zero, b, _ => zero_le b
  | succ _, zero, h => (Bool.false_ne_true h).elim
  | succ _, succ _, h => succ_le_succ (le_of_ble h)

theorem lt_of_ble : {a b : Nat} → Eq (a.ble b) .false → b.lt a
  | zero, _, h => (Bool.false_ne_true h.symm).elim
  | succ a, zero, _ => succ_le_succ (zero_le a)
  | succ _, succ _, h => succ_le_succ (lt_of_ble h)

theorem ble_of_le : {a b : Nat} → a.le b → Eq (a.ble b) .true
  | zero, _, _ => rfl
  | succ _, zero, h => (not_succ_le_zero h).elim
  | succ a, succ b, h => ble_of_le (a := a) (b := b) (le_of_succ_le_succ h)

/-! ### Division: counting up to n, starting again at each m -/

/-- Quotient and remainder of n + 1 from those of n. -/
def divStep (m : Nat) (s : Prod Nat Nat) : Prod Nat Nat :=
  (s.snd.succ.beq m).pick ⟨s.fst.succ, zero⟩ ⟨s.fst, s.snd.succ⟩

def divMod : Nat → Nat → Prod Nat Nat
  | zero, _ => ⟨zero, zero⟩
  | succ n, m => divStep m (divMod n m)

protected def div (n m : Nat) : Nat := (divMod n m).fst

protected def mod (n m : Nat) : Nat := (divMod n m).snd

theorem divStep_sum (m q r n : Nat) (h : Eq ((q.mul m).add r) n) : (b : Bool) → Eq (r.succ.beq m) b →
    Eq (((b.pick (⟨q.succ, zero⟩ : Prod Nat Nat) ⟨q, r.succ⟩).fst.mul m).add
      (b.pick (⟨q.succ, zero⟩ : Prod Nat Nat) ⟨q, r.succ⟩).snd) n.succ
  | .true, e => (succ_mul q m).trans
      ((congrArg (q.mul m).add (eq_of_beq e).symm).trans (congrArg succ h))
  | .false, _ => congrArg succ h

/-- Quotient times divisor plus remainder gives the number back. -/
theorem div_add_mod : (n m : Nat) → Eq (((n.div m).mul m).add (n.mod m)) n
  | zero, m => zero_mul m
  | succ n, m => divStep_sum m (n.div m) (n.mod m) n (div_add_mod n m) _ rfl

theorem divStep_lt (m q r : Nat) (h : r.lt m) : (b : Bool) → Eq (r.succ.beq m) b →
    (b.pick (⟨q.succ, zero⟩ : Prod Nat Nat) ⟨q, r.succ⟩).snd.lt m
  | .true, _ => le_trans (succ_le_succ (zero_le r)) h
  | .false, e => le_step h (ne_of_beq e)

/-- The remainder is smaller than the divisor. -/
theorem mod_lt (m : Nat) (h : zero.lt m) : (n : Nat) → (n.mod m).lt m
  | zero => h
  | succ n => divStep_lt m (n.div m) (n.mod m) (mod_lt m h n) _ rfl

theorem block_lt {m q r s : Nat} (h : r.lt m) (e : Eq ((q.succ.mul m).add s) r) : False :=
  lt_irrefl r (le_trans h ⟨(q.mul m).add s,
    (add_assoc m (q.mul m) s).symm.trans ((congrArg (fun x : Nat => x.add s)
      ((add_comm m (q.mul m)).trans (succ_mul q m).symm)).trans e)⟩)

/-- There is only one quotient. -/
theorem div_unique {m r s : Nat} (hr : r.lt m) (hs : s.lt m) :
    (q p : Nat) → Eq ((q.mul m).add r) ((p.mul m).add s) → Eq q p
  | zero, zero, _ => rfl
  | zero, succ _, e => (block_lt hr (e.symm.trans
      ((congrArg (fun x : Nat => x.add r) (zero_mul m)).trans (zero_add r)))).elim
  | succ _, zero, e => (block_lt hs (e.trans
      ((congrArg (fun x : Nat => x.add s) (zero_mul m)).trans (zero_add s)))).elim
  | succ q, succ p, e => congrArg succ (div_unique hr hs q p (add_cancel m
      ((add_right_comm (q.mul m) r m).trans
        ((congrArg (fun x : Nat => x.add r) (succ_mul q m).symm).trans
          (e.trans ((congrArg (fun x : Nat => x.add s) (succ_mul p m)).trans (add_right_comm (p.mul m) m s)))))))

theorem div_eq {n m q r : Nat} (hr : r.lt m) (e : Eq ((q.mul m).add r) n) : Eq (n.div m) q :=
  div_unique (mod_lt m (le_trans (succ_le_succ (zero_le r)) hr) n) hr (n.div m) q ((div_add_mod n m).trans e.symm)

theorem mod_eq {n m q r : Nat} (hr : r.lt m) (e : Eq ((q.mul m).add r) n) : Eq (n.mod m) r :=
  add_cancel (q.mul m) ((add_comm (n.mod m) (q.mul m)).trans
    (((congrArg (fun x : Nat => (x.mul m).add (n.mod m)) (div_eq hr e).symm).trans
      ((div_add_mod n m).trans e.symm)).trans (add_comm (q.mul m) r)))

theorem mul_div_cancel (a : Nat) {m : Nat} (h : zero.lt m) : Eq ((a.mul m).div m) a := div_eq h rfl

/-! ### The operations that this library never uses, but the kernel knows by name
Each recursion is written with a number of steps that is more than enough. -/

def gcdSteps : Nat → Nat → Nat → Nat
  | zero, _, b => b
  | succ _, zero, b => b
  | succ f, succ a, b => gcdSteps f (b.mod a.succ) a.succ

protected def gcd (a b : Nat) : Nat := gcdSteps a a b

def odd (a : Nat) : Bool := (a.mod 2).beq 1

def bitwiseSteps (f : Bool → Bool → Bool) : Nat → Nat → Nat → Nat
  | zero, _, b => (f .false .true).pick b zero
  | succ _, zero, b => (f .false .true).pick b zero
  | succ _, succ a, zero => (f .true .false).pick a.succ zero
  | succ s, succ a, succ b =>
    (Nat.mul 2 (bitwiseSteps f s (a.succ.div 2) (b.succ.div 2))).add ((f a.succ.odd b.succ.odd).pick 1 0)

def bitwise (f : Bool → Bool → Bool) (a b : Nat) : Nat := bitwiseSteps f a a b

protected def land : Nat → Nat → Nat := bitwise Bool.and

protected def lor : Nat → Nat → Nat := bitwise Bool.or

protected def xor : Nat → Nat → Nat := bitwise (fun a b => a.pick b.not b)

protected def shiftLeft : Nat → Nat → Nat
  | a, zero => a
  | a, succ n => Nat.mul 2 (Nat.shiftLeft a n)

protected def shiftRight : Nat → Nat → Nat
  | a, zero => a
  | a, succ n => (Nat.shiftRight a n).div 2

def logSteps : Nat → Nat → Nat
  | zero, _ => zero
  | succ s, a => (Nat.ble 2 a).pick (logSteps s (a.div 2)).succ zero

protected def log2 (a : Nat) : Nat := logSteps a a

/-! ## The operations pinned to the equations by which they are known -/

theorem add_zero_pin (a : Nat) : Eq (a.add zero) a := rfl
theorem add_succ_pin (a b : Nat) : Eq (a.add b.succ) (a.add b).succ := rfl
theorem sub_zero_pin (a : Nat) : Eq (a.sub zero) a := rfl
theorem sub_succ_pin (a b : Nat) : Eq (a.sub b.succ) (a.sub b).pred := rfl
theorem mul_zero_pin (a : Nat) : Eq (a.mul zero) zero := rfl
theorem mul_succ_pin (a b : Nat) : Eq (a.mul b.succ) ((a.mul b).add a) := rfl
theorem pow_zero_pin (a : Nat) : Eq (a.pow zero) 1 := rfl
theorem pow_succ_pin (a b : Nat) : Eq (a.pow b.succ) ((a.pow b).mul a) := rfl
theorem beq_zero_zero_pin : Eq (zero.beq zero) .true := rfl
theorem beq_zero_succ_pin (b : Nat) : Eq (zero.beq b.succ) .false := rfl
theorem beq_succ_zero_pin (a : Nat) : Eq (a.succ.beq zero) .false := rfl
theorem beq_succ_succ_pin (a b : Nat) : Eq (a.succ.beq b.succ) (a.beq b) := rfl
theorem ble_zero_pin (b : Nat) : Eq (zero.ble b) .true := rfl
theorem ble_succ_zero_pin (a : Nat) : Eq (a.succ.ble zero) .false := rfl
theorem ble_succ_succ_pin (a b : Nat) : Eq (a.succ.ble b.succ) (a.ble b) := rfl
theorem shiftLeft_zero_pin (a : Nat) : Eq (a.shiftLeft zero) a := rfl
theorem shiftLeft_succ_pin (a n : Nat) : Eq (a.shiftLeft n.succ) (Nat.mul 2 (a.shiftLeft n)) := rfl
theorem shiftRight_zero_pin (a : Nat) : Eq (a.shiftRight zero) a := rfl
theorem shiftRight_succ_pin (a n : Nat) : Eq (a.shiftRight n.succ) ((a.shiftRight n).div 2) := rfl

theorem divMod_zero : (n : Nat) → Eq (divMod n zero) ⟨zero, n⟩
  | zero => rfl
  | succ n => congrArg (divStep zero) (divMod_zero n)

theorem div_zero_pin (n : Nat) : Eq (n.div zero) zero := congrArg Prod.fst (divMod_zero n)
theorem mod_zero_pin (n : Nat) : Eq (n.mod zero) n := congrArg Prod.snd (divMod_zero n)

theorem div_small_pin {n m : Nat} (h : n.lt m) : Eq (n.div m) zero :=
  div_eq h ((congrArg (fun x : Nat => x.add n) (zero_mul m)).trans (zero_add n))
theorem mod_small_pin {n m : Nat} (h : n.lt m) : Eq (n.mod m) n :=
  mod_eq h ((congrArg (fun x : Nat => x.add n) (zero_mul m)).trans (zero_add n))

theorem one_more (n m : Nat) : Eq (((n.div m).succ.mul m).add (n.mod m)) (n.add m) :=
  (congrArg (fun x : Nat => x.add (n.mod m)) (succ_mul (n.div m) m)).trans
    ((add_right_comm ((n.div m).mul m) m (n.mod m)).trans (congrArg (fun x : Nat => x.add m) (div_add_mod n m)))

theorem div_add_pin (n : Nat) {m : Nat} (h : zero.lt m) : Eq ((n.add m).div m) (n.div m).succ :=
  div_eq (mod_lt m h n) (one_more n m)
theorem mod_add_pin (n : Nat) {m : Nat} (h : zero.lt m) : Eq ((n.add m).mod m) (n.mod m) :=
  mod_eq (mod_lt m h n) (one_more n m)

theorem gcdSteps_enough : (f g a b : Nat) → a.le f → a.le g → Eq (gcdSteps f a b) (gcdSteps g a b)
  | zero, zero, _, _, _, _ => rfl
  | zero, succ _, zero, _, _, _ => rfl
  | zero, succ _, succ _, _, h, _ => (not_succ_le_zero h).elim
  | succ _, zero, zero, _, _, _ => rfl
  | succ _, zero, succ _, _, _, h => (not_succ_le_zero h).elim
  | succ _, succ _, zero, _, _, _ => rfl
  | succ f, succ g, succ a, b, h, k =>
    have small : (b.mod a.succ).le a := le_of_succ_le_succ (mod_lt a.succ (succ_le_succ (zero_le a)) b)
    gcdSteps_enough f g (b.mod a.succ) a.succ
      (le_trans small (le_of_succ_le_succ h)) (le_trans small (le_of_succ_le_succ k))

theorem gcd_zero_pin (b : Nat) : Eq (zero.gcd b) b := rfl
theorem gcd_succ_pin (a b : Nat) : Eq (a.succ.gcd b) ((b.mod a.succ).gcd a.succ) :=
  gcdSteps_enough a (b.mod a.succ) (b.mod a.succ) a.succ
    (le_of_succ_le_succ (mod_lt a.succ (succ_le_succ (zero_le a)) b)) (le_refl _)

theorem half_small (q r a : Nat) (e : Eq ((q.mul 2).add r) a.succ) : q.le a :=
  match q, e with
  | zero, _ => zero_le a
  | succ p, e => ⟨p.add r, (add_assoc p.succ p r).symm.trans (succ_inj
      ((succ_add (p.succ.add p) r).symm.trans ((congrArg (fun x : Nat => x.add r) (twice p)).trans e)))⟩
where
  twice (p : Nat) : Eq (p.succ.add p).succ (p.succ.mul 2) :=
    (congrArg (fun x : Nat => x.add p.succ) (zero_add p.succ)).symm

theorem half_le (a : Nat) : (a.succ.div 2).le a := half_small (a.succ.div 2) (a.succ.mod 2) a (div_add_mod a.succ 2)

theorem bitwiseSteps_enough (o : Bool → Bool → Bool) :
    (f g a b : Nat) → a.le f → a.le g → Eq (bitwiseSteps o f a b) (bitwiseSteps o g a b)
  | zero, zero, _, _, _, _ => rfl
  | zero, succ _, zero, _, _, _ => rfl
  | zero, succ _, succ _, _, h, _ => (not_succ_le_zero h).elim
  | succ _, zero, zero, _, _, _ => rfl
  | succ _, zero, succ _, _, _, h => (not_succ_le_zero h).elim
  | succ _, succ _, zero, _, _, _ => rfl
  | succ _, succ _, succ _, zero, _, _ => rfl
  | succ f, succ g, succ a, succ b, h, k =>
    congrArg (fun x : Nat => (Nat.mul 2 x).add ((o a.succ.odd b.succ.odd).pick 1 0))
      (bitwiseSteps_enough o f g (a.succ.div 2) (b.succ.div 2)
        (le_trans (half_le a) (le_of_succ_le_succ h)) (le_trans (half_le a) (le_of_succ_le_succ k)))

theorem bitwise_zero (o : Bool → Bool → Bool) (b : Nat) :
    Eq (bitwise o zero b) ((o .false .true).pick b zero) := rfl
theorem bitwise_succ_zero (o : Bool → Bool → Bool) (a : Nat) :
    Eq (bitwise o a.succ zero) ((o .true .false).pick a.succ zero) := rfl
theorem bitwise_succ_succ (o : Bool → Bool → Bool) (a b : Nat) : Eq (bitwise o a.succ b.succ)
    ((Nat.mul 2 (bitwise o (a.succ.div 2) (b.succ.div 2))).add ((o a.succ.odd b.succ.odd).pick 1 0)) :=
  congrArg (fun x : Nat => (Nat.mul 2 x).add ((o a.succ.odd b.succ.odd).pick 1 0))
    (bitwiseSteps_enough o a (a.succ.div 2) (a.succ.div 2) (b.succ.div 2) (half_le a) (le_refl _))

theorem land_zero_pin (b : Nat) : Eq (zero.land b) zero := rfl
theorem land_succ_zero_pin (a : Nat) : Eq (a.succ.land zero) zero := rfl
theorem land_pin (a b : Nat) : Eq (a.succ.land b.succ)
    ((Nat.mul 2 ((a.succ.div 2).land (b.succ.div 2))).add ((a.succ.odd.and b.succ.odd).pick 1 0)) :=
  bitwise_succ_succ Bool.and a b
theorem lor_zero_pin (b : Nat) : Eq (zero.lor b) b := rfl
theorem lor_succ_zero_pin (a : Nat) : Eq (a.succ.lor zero) a.succ := rfl
theorem lor_pin (a b : Nat) : Eq (a.succ.lor b.succ)
    ((Nat.mul 2 ((a.succ.div 2).lor (b.succ.div 2))).add ((a.succ.odd.or b.succ.odd).pick 1 0)) :=
  bitwise_succ_succ Bool.or a b
theorem xor_zero_pin (b : Nat) : Eq (zero.xor b) b := rfl
theorem xor_succ_zero_pin (a : Nat) : Eq (a.succ.xor zero) a.succ := rfl
theorem xor_pin (a b : Nat) : Eq (a.succ.xor b.succ) ((Nat.mul 2 ((a.succ.div 2).xor (b.succ.div 2))).add
    ((a.succ.odd.pick b.succ.odd.not b.succ.odd).pick 1 0)) :=
  bitwise_succ_succ (fun x y => x.pick y.not y) a b

theorem logSteps_enough : (f g a : Nat) → a.le f → a.le g → Eq (logSteps f a) (logSteps g a)
  | zero, zero, _, _, _ => rfl
  | zero, succ _, zero, _, _ => rfl
  | zero, succ _, succ _, h, _ => (not_succ_le_zero h).elim
  | succ _, zero, zero, _, _ => rfl
  | succ _, zero, succ _, _, h => (not_succ_le_zero h).elim
  | succ _, succ _, zero, _, _ => rfl
  | succ f, succ g, succ a, h, k => congrArg (fun x : Nat => (Nat.ble 2 a.succ).pick (succ x) zero)
      (logSteps_enough f g (a.succ.div 2)
        (le_trans (half_le a) (le_of_succ_le_succ h)) (le_trans (half_le a) (le_of_succ_le_succ k)))

theorem log2_zero_pin : Eq zero.log2 zero := rfl
theorem log2_succ_pin (a : Nat) :
    Eq a.succ.log2 ((Nat.ble 2 a.succ).pick (a.succ.div 2).log2.succ zero) :=
  congrArg (fun x : Nat => (Nat.ble 2 a.succ).pick (succ x) zero)
    (logSteps_enough a (a.succ.div 2) (a.succ.div 2) (half_le a) (le_refl _))

end Nat

/-! ## Lists, characters and strings -/

set_option genCtorIdx false in
inductive List (α : Type u) where
  | nil : List α
  | cons (head : α) (tail : List α) : List α

namespace List

def length {α : Type u} : List α → Nat
  | nil => .zero
  | cons _ xs => xs.length.succ

def append {α : Type u} : List α → List α → List α
  | nil, ys => ys
  | cons x xs, ys => cons x (xs.append ys)

def map {α : Type u} {β : Type v} (f : α → β) : List α → List β
  | nil => nil
  | cons x xs => cons (f x) (xs.map f)

theorem length_append {α : Type u} (ys : List α) :
    (xs : List α) → Eq (xs.append ys).length (xs.length.add ys.length)
  | nil => (Nat.zero_add ys.length).symm
  | cons _ xs => (congrArg Nat.succ (length_append ys xs)).trans (Nat.succ_add xs.length ys.length).symm

theorem length_map {α : Type u} {β : Type v} (f : α → β) : (xs : List α) → Eq (xs.map f).length xs.length
  | nil => rfl
  | cons _ xs => congrArg Nat.succ (length_map f xs)

theorem map_append {α : Type u} {β : Type v} (f : α → β) (ys : List α) :
    (xs : List α) → Eq ((xs.append ys).map f) ((xs.map f).append (ys.map f))
  | nil => rfl
  | cons x xs => congrArg (cons (f x)) (map_append f ys xs)

end List

/-- A character, of which nothing is used. The kernel writes characters as `Char.ofNat n`. -/
structure Char where
  ofNat ::
  toNat : Nat

/-- A text, of which nothing is used. The kernel unfolds a text in quotes to `String.ofList` of its characters. -/
structure String where
  ofList ::
  toList : List Char

theorem String.pin : Eq "ab" (String.ofList (.cons (Char.ofNat 97) (.cons (Char.ofNat 98) .nil))) := rfl
theorem String.empty_pin : Eq "" (String.ofList .nil) := rfl
