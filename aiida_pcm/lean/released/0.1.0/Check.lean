prelude
import Spec
/-! # Check: a total function that decides about a certificate
It works on the packed numbers as they are: no list of rows is ever built. Nothing here need be trusted: `Sound` proves
that whatever `check` accepts is `Valid`. -/
set_option autoImplicit false
noncomputable section

/-- `sides` decides `Sides`. -/
def sides : List Range → Bool
  | .nil => .true
  | .cons r rs => ((Nat.ble 1 r.lo).and ((r.lo.ble r.hi).and (r.hi.blt wordBase))).and (sides rs)

/-- `fits` decides `Fit`. -/
def fits (b : Nat) : Rows → Bool
  | .block n x => x.blt (b.pow n)
  | .join l r => (fits b l).and (fits b r)

/-- Number of rows. -/
def size : Rows → Nat
  | .block n _ => n
  | .join l r => (size l).add (size r)

/-- Do the lowest words of x lie in the box, one after the other? -/
def wordsInBox : List Range → Nat → Bool
  | .nil, _ => .true
  | .cons r rs, x =>
    ((r.lo.ble (x.mod wordBase)).and ((x.mod wordBase).ble r.hi)).and (wordsInBox rs (x.div wordBase))

/-- Is the packed row x inside the box? -/
def isInside (box : List Range) (x : Nat) : Bool := wordsInBox box (x.div featureBase)

/-- Has the packed row x an unknown reference? -/
def isUnknown (x : Nat) : Bool := ((x.div groupBase).mod wordBase).beq unknownError

/-- Does the packed row x fail? -/
def isFailed (tolerance noise x : Nat) : Bool :=
  (isUnknown x).or (tolerance.blt (((x.div groupBase).mod wordBase).add noise))

/-- How many digits of x have a property. -/
def countBlock (p : Nat → Bool) (b : Nat) : Nat → Nat → Nat
  | .zero, _ => 0
  | .succ n, x => (countBlock p b n (x.div b)).add ((p (x.mod b)).pick 1 0)

/-- How many packed rows have a property. -/
def countRows (p : Nat → Bool) (b : Nat) : Rows → Nat
  | .block n x => countBlock p b n x
  | .join l r => (countRows p b l).add (countRows p b r)

/-- Do the groups of a block ascend strictly from `low` on, and does `rest` agree with what follows? -/
def ascendBlock (b : Nat) (rest : Nat → Bool) : Nat → Nat → Nat → Bool
  | .zero, _, low => rest low
  | .succ n, x, low =>
    (low.ble ((x.mod b).mod groupBase)).and (ascendBlock b rest n (x.div b) ((x.mod b).mod groupBase).succ)

/-- Do the groups of all rows ascend strictly from `low` on? -/
def ascendRows (b : Nat) : Rows → (Nat → Bool) → Nat → Bool
  | .block n x, rest, low => ascendBlock b rest n x low
  | .join l r, rest, low => ascendRows b l (ascendRows b r rest) low

/-- The tail without its last power, by Horner's rule; each term comes from the one before. -/
def tailLoop (n p q : Nat) : Nat → Nat → Nat → Nat → Nat
  | .zero, _, _, sum => sum
  | .succ steps, j, term, sum =>
    let next := ((term.mul (n.sub j)).mul p).div j.succ
    tailLoop n p q steps j.succ next ((sum.mul q).add next)

/-- `bounds` decides `Bounds` if k ≤ n. -/
def bounds (a b n k d p : Nat) : Bool :=
  (b.mul ((tailLoop n p (d.sub p) k 0 1 1).mul ((d.sub p).pow (n.sub k)))).ble (a.mul (d.pow n))

/-- `enough` decides `Enough`. -/
def enough (a b p d n : Nat) : Bool := (b.mul ((d.sub p).pow n)).ble (a.mul (d.pow n))

/-- `enough` fails just below n. -/
def notBefore (a b p d : Nat) : Nat → Bool
  | .zero => .true
  | .succ n => (enough a b p d n).not

/-- The bound is exact and the least one. -/
def boundRight (c : Certificate) : Bool :=
  (c.failed.beq c.inside).pick (c.boundNum.beq c.boundDen)
    ((c.failed.ble c.inside).and
      ((bounds c.alphaNum c.alphaDen c.inside c.failed c.boundDen c.boundNum).and
        ((c.boundNum.beq 0).or
          (bounds c.alphaNum c.alphaDen c.inside c.failed c.boundDen c.boundNum.pred).not)))

def sameVerdict : Verdict → Verdict → Bool
  | .certified, .certified => .true
  | .consistent, .consistent => .true
  | .refused, .refused => .true
  | _, _ => .false

/-- What is claimed of the numbers alone. -/
def checkNumbers (c : Certificate) : Bool :=
  (((Nat.blt 0 c.box.length).and (sides c.box)).and (c.tolerance.blt largestError)).and
  (((Nat.ble 1 c.use).and ((Nat.ble 1 c.alphaNum).and
    ((c.alphaNum.mul ((Nat.mul 20 c.use).mul c.use.succ)).beq c.alphaDen))).and
  (((Nat.blt 0 c.boundDen).and (c.boundNum.ble c.boundDen)).and
  (((Nat.blt 0 c.requestedNum).and (c.requestedNum.blt c.requestedDen)).and
  (((enough c.alphaNum c.alphaDen c.requestedNum c.requestedDen c.smallest).and
    (notBefore c.alphaNum c.alphaDen c.requestedNum c.requestedDen c.smallest)).and
  ((sameVerdict c.verdict
    (verdictOf c.frame ((c.boundNum.mul c.requestedDen).ble (c.requestedNum.mul c.boundDen)))).and
  (boundRight c))))))

/-- What is claimed of the rows. -/
def checkRows (c : Certificate) : Bool :=
  (fits c.rowBase c.rows).and
  (((size c.rows).beq c.rowCount).and
  ((ascendRows c.rowBase c.rows (fun _ => .true) 0).and
  (((countRows (isInside c.box) c.rowBase c.rows).beq c.inside).and
  (((countRows (fun x => (isFailed c.tolerance c.noise x).and (isInside c.box x)) c.rowBase c.rows).beq c.failed).and
  ((countRows (fun x => (isUnknown x).and (isInside c.box x)) c.rowBase c.rows).beq c.unknown)))))

/-- The checker. -/
def check (c : Certificate) : Bool := (checkNumbers c).and (checkRows c)
