prelude
import Base
set_option autoImplicit false
set_option genCtorIdx false
noncomputable section
/-! # Spec: what a certificate claims (numbers are natural numbers; `a.add b` is a + b, `a.le b` is a ≤ b) -/
/-- What the rows were drawn from: a declared recipe, a declared list, or neither. -/
inductive Frame where | generated | listed | convenience
/-- What the certificate says in the end. -/
inductive Verdict where | certified | consistent | refused
/-- One side of the box: the word of this feature is at least `lo` and at most `hi`. -/
structure Range where (lo hi : Nat)
/-- One material: its group, the word of its error, one word for each feature of the box. -/
structure Row where (group error : Nat) (features : List Nat)
/-- The rows as they are written: blocks of `count` rows packed into one number, joined two by two. -/
inductive Rows where | block (count packed : Nat) | join (left right : Rows)
/-- Everything that a certificate states. Errors, tolerance and noise are in 10⁻⁶ of the property's unit. -/
structure Certificate where
  (frame : Frame) (verdict : Verdict) (box : List Range) (rows : Rows) (tolerance noise : Nat)
  (requestedNum requestedDen use alphaNum alphaDen : Nat)
  (rowCount inside failed unknown boundNum boundDen smallest : Nat)
/-- Words have 32 bits. -/
def wordBase : Nat := 0x100000000
/-- A group takes two words, and the features begin after the third. -/
def groupBase : Nat := 0x10000000000000000
def featureBase : Nat := 0x1000000000000000000000000
/-- The error word of a row without a reference value. -/
def unknownError : Nat := 0xffffffff
/-- The error word of an error that is too large for a word. -/
def largestError : Nat := 0xfffffffe
/-- The `n` lowest digits of `x` in base `b`, lowest first. -/
def digits (b : Nat) : Nat → Nat → List Nat
  | .zero, _ => .nil
  | .succ n, x => .cons (x.mod b) (digits b n (x.div b))
/-- A row with `m` features is a number: lowest the group (64 bits), then the error, then the features. -/
def Row.ofNumber (m x : Nat) : Row :=
  ⟨x.mod groupBase, (x.div groupBase).mod wordBase, digits wordBase m (x.div featureBase)⟩
/-- The rows as numbers: the digits of every block, in order. -/
def Rows.numbers (b : Nat) : Rows → List Nat
  | .block n x => digits b n x
  | .join l r => (l.numbers b).append (r.numbers b)
/-- No block holds more than its digits, so that nothing is dropped. -/
def Rows.Fit (b : Nat) : Rows → Prop
  | .block n x => x.lt (b.pow n)
  | .join l r => And (l.Fit b) (r.Fit b)
/-- The base of a packed row: group, error and features take m + 3 words. -/
def Certificate.rowBase (c : Certificate) : Nat := wordBase.pow (c.box.length.add 3)
/-- The rows that the certificate is about. -/
def Certificate.table (c : Certificate) : List Row := (c.rows.numbers c.rowBase).map (Row.ofNumber c.box.length)
/-- Every feature lies in its range. -/
def inBox : List Range → List Nat → Bool
  | .nil, _ => .true
  | .cons _ _, .nil => .false
  | .cons r rs, .cons x xs => ((r.lo.ble x).and (x.ble r.hi)).and (inBox rs xs)
/-- The reference of this row is not known. -/
def Row.unknown (r : Row) : Bool := r.error.beq unknownError
/-- A row fails if its reference is unknown, or if its error and the noise together exceed the tolerance. -/
def Row.fails (tolerance noise : Nat) (r : Row) : Bool := r.unknown.or (tolerance.blt (r.error.add noise))
/-- How many rows of a list have a property. -/
def count (p : Row → Bool) : List Row → Nat
  | .nil => 0
  | .cons r rs => (count p rs).add ((p r).pick 1 0)
/-- `x` is none of the numbers of a list. -/
def Absent (x : Nat) : List Nat → Prop
  | .nil => True
  | .cons y ys => And (Not (Eq x y)) (Absent x ys)
/-- The numbers of a list are pairwise distinct. -/
def Distinct : List Nat → Prop
  | .nil => True
  | .cons x xs => And (Absent x xs) (Distinct xs)
/-- Pascal's triangle: in how many ways k of n can be chosen. -/
def choose : Nat → Nat → Nat
  | _, .zero => 1
  | .zero, .succ _ => 0
  | .succ n, .succ k => (choose n k).add (choose n k.succ)
/-- dⁿ times the probability of at most k failures in n independent trials, each failing with probability p/d. -/
def tail (n p d : Nat) : Nat → Nat
  | .zero => (d.sub p).pow n
  | .succ k => (tail n p d k).add (((choose n k.succ).mul (p.pow k.succ)).mul ((d.sub p).pow (n.sub k.succ)))
/-- At failure rate p/d, at most k failures in n has a probability of at most a/b: p/d is an upper bound. -/
def Bounds (a b n k d p : Nat) : Prop := (b.mul (tail n p d k)).le (a.mul (d.pow n))
/-- With n trials and no failure, the failure rate is below p/d with confidence 1 - a/b. -/
def Enough (a b p d n : Nat) : Prop := (b.mul ((d.sub p).pow n)).le (a.mul (d.pow n))
/-- The verdict that follows from the frame, and from whether the bound is at most the requested rate. -/
def verdictOf : Frame → Bool → Verdict
  | _, .false => .refused
  | .convenience, .true => .consistent
  | _, .true => .certified
/-- All sides of the box make sense: a missing feature has the word 0 and is never inside. -/
def Sides : List Range → Prop
  | .nil => True
  | .cons r rs => And (And (Nat.le 1 r.lo) (And (r.lo.le r.hi) (r.hi.lt wordBase))) (Sides rs)
/-- **What `check_sound` proves of a certificate.** -/
structure Valid (c : Certificate) : Prop where
  /-- The box has at least one side, and all sides make sense. -/
  box : And (Nat.lt 0 c.box.length) (Sides c.box)
  /-- No row is dropped or cut. -/
  fit : c.rows.Fit c.rowBase
  /-- An error too large for its word counts as a failure. -/
  tolerance : c.tolerance.lt largestError
  /-- No two rows are of the same group. -/
  groups : Distinct (c.table.map Row.group)
  /-- So many rows. -/
  rowCount : Eq c.table.length c.rowCount
  /-- n: so many of them inside the box. -/
  inside : Eq (count (fun r => inBox c.box r.features) c.table) c.inside
  /-- k: so many inside the box that fail. -/
  failed : Eq (count (fun r => (inBox c.box r.features).and (r.fails c.tolerance c.noise)) c.table) c.failed
  /-- So many inside the box whose reference is unknown (they are among the failed). -/
  unknown : Eq (count (fun r => (inBox c.box r.features).and r.unknown) c.table) c.unknown
  /-- alpha is 0.05 / (j (j + 1)) at the j-th use of these rows. -/
  alpha : And (Nat.le 1 c.use) (And (Nat.le 1 c.alphaNum)
    (Eq (c.alphaNum.mul ((Nat.mul 20 c.use).mul c.use.succ)) c.alphaDen))
  /-- The bound is a fraction of at most 1; it is 1 if all rows inside fail, or none is inside. -/
  bound : And (Nat.lt 0 c.boundDen) (And (c.boundNum.le c.boundDen)
    (Eq c.failed c.inside → Eq c.boundNum c.boundDen))
  /-- Otherwise it is an exact upper bound (one-sided, Clopper and Pearson) ... -/
  upper : Not (Eq c.failed c.inside) → Bounds c.alphaNum c.alphaDen c.inside c.failed c.boundDen c.boundNum
  /-- ... and one step less is none. -/
  least : Not (Eq c.failed c.inside) → Or (Eq c.boundNum 0)
    (Not (Bounds c.alphaNum c.alphaDen c.inside c.failed c.boundDen c.boundNum.pred))
  /-- The requested rate lies between 0 and 1. -/
  requested : And (Nat.lt 0 c.requestedNum) (c.requestedNum.lt c.requestedDen)
  /-- The smallest n with which no failure is enough for the requested rate. -/
  smallest : And (Enough c.alphaNum c.alphaDen c.requestedNum c.requestedDen c.smallest)
    ((n : Nat) → n.lt c.smallest → Not (Enough c.alphaNum c.alphaDen c.requestedNum c.requestedDen n))
  /-- The verdict. -/
  verdict : Eq c.verdict (verdictOf c.frame ((c.boundNum.mul c.requestedDen).ble (c.requestedNum.mul c.boundDen)))
